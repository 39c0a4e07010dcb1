"""What is wrong with a given backbone is one line, before anything trains."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tests.folders import CONTEXT, make_folder
from tests.unit.test_backbones_published import QUESTION, ROWS, TEXTS, assembled
from thoughtscope.backbones.load import load_model, load_tokenizer
from thoughtscope.backbones.prompt import prompt_ids
from thoughtscope.errors import UserError


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("folders")
    return {name: make_folder(name, place / name, TEXTS) for name in ("qwen3-4b", "smollm3-3b", "mistral-7b")}


def test_sharded_parameters_are_refused_to_a_frozen_run(folders: dict[str, Path]) -> None:
    with pytest.raises(UserError, match=r"config/deepspeed/zero3\.yaml: .* stage 3 is for live runs"):
        assembled("qwen3-4b", folders["qwen3-4b"], "coconut", trainable="frozen",
                  frozen={"training": {"deepspeed": "zero3"}})  # fmt: skip


def test_an_example_that_does_not_fit_the_context_is_refused_before_training(folders: dict[str, Path]) -> None:
    name = "smollm3-3b"
    prompt = assembled(name, folders[name], "coconut").splits.test[0].prompt
    with pytest.raises(UserError) as caught:
        assembled(name, folders[name], "coconut", evaluation={"max_new_tokens": CONTEXT})
    message = str(caught.value)
    assert "\n" not in message
    for part in ("example chain-", f"prompt ({len(prompt)} tokens)", f"the model has {CONTEXT}", "max_new_tokens"):
        assert part in message
    with pytest.raises(UserError, match="example long: prompt"):
        assembled(
            name, folders[name], "lt-tuning", rows=[*ROWS, {**ROWS[0], "example_id": "long", "question": "3 " * 999}]
        )


def test_bad_tokenizers_and_weights_are_told_apart(folders: dict[str, Path], tmp_path: Path) -> None:
    made = tmp_path / "made"

    def broken(file: str, **changes: Any) -> Path:
        shutil.rmtree(made, ignore_errors=True)
        shutil.copytree(folders["qwen3-4b"], made)
        (made / file).write_text(json.dumps({**json.loads((made / file).read_text()), **changes}))
        return made

    def said(load: Any, folder: Path) -> str:
        with pytest.raises(UserError) as caught:
            load(folder)
        assert "\n" not in str(caught.value)
        return str(caught.value).removeprefix(f"{folder}: ")

    missing = said(load_tokenizer, broken("tokenizer_config.json", eos_token=None))
    assert missing == "the tokenizer has no EOS token; set eos_token in tokenizer_config.json"
    unpadded = load_tokenizer(broken("tokenizer_config.json", pad_token=None))
    assert unpadded.pad_token_id is None, "no padding token is no mistake: nothing sees padding"
    assert "does not load" in said(load_model, broken("config.json", model_type="qwen99"))
    greedy = broken("generation_config.json", do_sample=False, temperature=0.6)
    assert "generation_config.json: " in said(load_model, greedy)
    next(broken("config.json").glob("model-00002*.safetensors")).unlink()
    assert "does not load" in said(load_model, made)
    next(broken("config.json").glob("model-00002*.safetensors")).write_bytes(b"cut")
    assert "does not load" in said(load_model, made)
    index = broken("model.safetensors.index.json") / "model.safetensors.index.json"
    cut = json.loads(index.read_text())
    del cut["weight_map"]["model.norm.weight"]
    kept = load_file(made / "model-00002-of-00002.safetensors")
    kept.pop("model.norm.weight", None)
    save_file(kept, made / "model-00002-of-00002.safetensors", {"format": "pt"})
    index.write_text(json.dumps(cut))
    assert said(load_model, made) == "weight model.norm.weight is missing; complete the *.safetensors files"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ raise_exception('no users here') }}", "the chat template fails (no users here)"),
        ("{{ bos_token }}", "leaves the question out"),
        ("{% for %}", "the chat template fails"),
        (None, "no chat template; set chat: false"),
    ],
)
def test_a_chat_template_that_fails_is_one_line(template: str | None, expected: str, folders: dict[str, Path]) -> None:
    tokenizer = load_tokenizer(folders["mistral-7b"])
    tokenizer.chat_template = template
    with pytest.raises(UserError) as caught:
        prompt_ids(tokenizer, QUESTION, True, {})
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
