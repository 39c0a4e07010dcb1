"""Examples are tokenised once, memory-mapped and decoded when they are used; so are the probabilities of responses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.families import make_model
from tests.tokenizers import make
from thoughtscope.errors import UserError
from thoughtscope.latents.layout import sequence
from thoughtscope.latents.scoring import label_probabilities
from thoughtscope.methods.curriculum import Example
from thoughtscope.reasoner import Prompting, encode
from thoughtscope.tasks.answers import Judge
from thoughtscope.training import stage_data
from thoughtscope.training.examples import AT_ONCE, Examples, read, tokenise, tokens_folder
from thoughtscope.training.ranks import Ranks
from thoughtscope.training.stage_data import Probabilities, score

ROOT = Path(__file__).parents[2]
PLAIN = Prompting(chat=False)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return make("byte-level")


def rows(count: int = 7) -> list[dict[str, Any]]:
    judge = Judge(form="number", absolute=0.5, marks=("=",)).columns
    made = [
        {"example_id": str(i), "split": split, "question": "1 + 2 " * (i % 5), "steps": ["3"] * i, "answer": str(i)}
        for split in ("train", "validation", "test", "test-hard")
        for i in range(count)
    ]
    return [{**row, **judge, "overlap": "train" if row["split"] == "test" else None} for row in made]


def unread() -> Iterator[dict[str, Any]]:
    raise AssertionError("rows are read again")
    yield {}


def test_mapped_examples_are_the_encoded_rows(tokenizer: Any, tmp_path: Path) -> None:
    tokenise(tokenizer, PLAIN, rows(), tmp_path / "tokens")
    found = read(tmp_path / "tokens")
    assert list(found.splits) == ["train", "validation", "test", "test-hard"]
    for split, examples in found.splits.items():
        expected = [encode(tokenizer, PLAIN, row) for row in rows() if row["split"] == split]
        assert list(examples) == expected
        assert examples[2:5] == expected[2:5]
    assert found.steps == 6
    largest = max(token for one in found.splits["train"] for token in [*one.prompt, *one.response])
    assert found.largest[0] == largest


def test_the_longest_examples_are_found_without_decoding_the_others(tokenizer: Any, tmp_path: Path) -> None:
    tokenise(tokenizer, PLAIN, rows(12), tmp_path / "tokens")
    examples = read(tmp_path / "tokens").splits["train"]

    def length(one: Example) -> int:
        return len(one.prompt) + len(one.response)

    assert examples.longest(3) == sorted(examples, key=length, reverse=True)[:3]
    prompt = examples.longest(1, prompt_alone=True)[0]
    assert len(prompt.prompt) == max(len(one.prompt) for one in examples)


def test_more_rows_than_a_record_batch_holds_stay_in_order(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thoughtscope.training.examples.AT_ONCE", 4)
    assert AT_ONCE > 4
    tokenise(tokenizer, PLAIN, rows(11), tmp_path / "tokens")
    assert [one.example_id for one in read(tmp_path / "tokens").splits["train"]] == [str(i) for i in range(11)]


def test_rows_are_tokenised_once_and_again_only_if_the_file_is_damaged(tokenizer: Any, tmp_path: Path) -> None:
    tokenise(tokenizer, PLAIN, rows(), tmp_path / "tokens")
    tokenise(tokenizer, PLAIN, unread(), tmp_path / "tokens")
    file = tmp_path / "tokens/train.arrow"
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    tokenise(tokenizer, PLAIN, rows(), tmp_path / "tokens")
    assert file.read_bytes() == whole


def test_a_run_that_finishes_second_leaves_the_files_that_others_read(tokenizer: Any, tmp_path: Path) -> None:
    folder = tmp_path / "tokens"
    files: list[int] = []

    def slowly() -> Iterator[dict[str, Any]]:
        yield from rows()
        tokenise(tokenizer, PLAIN, rows(), folder)  # another run, which started later and is done
        files.extend(path.stat().st_ino for path in sorted(folder.iterdir()))

    tokenise(tokenizer, PLAIN, slowly(), folder)
    assert [path.stat().st_ino for path in sorted(folder.iterdir())] == files != []
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"]
    assert len(read(folder).splits["train"]) == 7


def test_runs_of_one_task_backbone_and_method_share_a_file() -> None:
    method = yaml.safe_load((ROOT / "config/methods/cot.yaml").read_text())
    settings = {
        "method": method,
        "prompting": {"chat": True},
        "sources": {"a.py": "1"},
        "run": "chain/qwen3/cot/full/0",
    }
    inputs = {"task": "1", "backbone": "2"}
    folder = tokens_folder(Path("tokens"), settings, inputs)
    assert folder.parent == Path("tokens")
    same = {**settings, "run": "chain/qwen3/cot/lora/1", "training": {"updates": 3}}
    assert tokens_folder(Path("tokens"), same, {**inputs, "leader": "3"}) == folder
    others = [{"prompting": {"chat": False}}, {"sources": {"a.py": "2"}}]
    assert all(tokens_folder(Path("tokens"), {**settings, **other}, inputs) != folder for other in others)
    assert tokens_folder(Path("tokens"), settings, {"task": "1", "backbone": "3"}) != folder


@pytest.mark.parametrize("at_once", [1, 64])
def test_probabilities_in_a_file_are_those_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(stage_data, "AT_ONCE", at_once)
    model = make_model("llama", torch.float32)
    examples = [Example(str(i), [5, 6], [[7] * i], [8, 2]) for i in range(7)]
    score(model, examples, Ranks(), 2, tmp_path / "scores")
    found = Probabilities(tmp_path / "scores")
    expected = label_probabilities(model, [sequence(e.example_id, e.prompt, e.response) for e in examples], None, 7)
    for i, values in enumerate(expected):
        assert found[i] == pytest.approx(values, rel=1e-5)


def test_damaged_probabilities_are_refused_in_one_line(tmp_path: Path) -> None:
    score(make_model("llama", torch.float32), [Example("a", [5], [[7]], [2])], Ranks(), 2, tmp_path / "scores")
    (tmp_path / "scores/values.npy").write_bytes(b"")
    with pytest.raises(UserError, match=r"it is damaged; delete .* to start the run again"):
        Probabilities(tmp_path / "scores")


def test_an_index_past_the_end_is_no_example(tokenizer: Any, tmp_path: Path) -> None:
    tokenise(tokenizer, PLAIN, rows(2), tmp_path / "tokens")
    with pytest.raises(IndexError):
        Examples(tmp_path / "tokens/train.arrow")[2]
