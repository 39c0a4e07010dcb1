"""prontoqa: the generator's own file, as `run_experiment.py --model-name json` of asaparov/prontoqa writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from thoughtscope import schemas
from thoughtscope.errors import UserError
from thoughtscope.tasks import prontoqa
from thoughtscope.tasks.prepare import EXAMPLES, REPORT, write_task

ROOT = Path(__file__).parents[2]


def one(number: int) -> dict[str, Any]:
    """Return an example in the form of the generator's `examples['example1']['test_example']`."""
    return {
        "question": f"Every impus is earthy. Each wumpus is an impus. Yumpus {number} is a wumpus. ",
        "query": f"True or false: Yumpus {number} is {'not ' if number % 2 else ''}earthy.",
        "chain_of_thought": [
            f"Yumpus {number} is a wumpus.", "Each wumpus is an impus.", f"Yumpus {number} is an impus.",
            "Every impus is earthy.", f"Yumpus {number} is earthy.\n\n",
        ],
        "answer": "False" if number % 2 else "True",
    }  # fmt: skip


def generated(path: Path, count: int = 12) -> dict[str, Any]:
    """Write a file of `count` examples, indented as the generator does it, and return it."""
    made = {f"example{i + 1}": {"in_context_example0": one(100 + i), "test_example": one(i)} for i in range(count)}
    path.write_text(json.dumps(made, indent=1))
    return made


def settings(path: Path, **changes: Any) -> prontoqa.Settings:
    raw = {"kind": "prontoqa", "path": str(path), "splits": {"validation": 2, "test": 3}}
    return prontoqa.Settings.model_validate({**raw, **changes})


def test_rows_are_those_of_coconuts_conversion(tmp_path: Path) -> None:
    generated(tmp_path / "5hop.json")
    rows = list(settings(tmp_path / "5hop.json").examples())
    assert [row["split"] for row in rows] == ["train"] * 7 + ["validation"] * 2 + ["test"] * 3
    assert rows[1]["question"] == (
        "Every impus is earthy. Each wumpus is an impus. Yumpus 1 is a wumpus. True or false: Yumpus 1 is not earthy."
    )
    assert rows[1]["steps"] == [
        "Yumpus 1 is a wumpus. Each wumpus is an impus.",
        "Yumpus 1 is an impus. Every impus is earthy.",
        "Yumpus 1 is earthy.",
    ]
    assert [row["answer"] for row in rows[:2]] == ["yes", "no"]
    single = list(settings(tmp_path / "5hop.json", sentences_per_step=1).examples())
    assert len(single[0]["steps"]) == 5


def test_the_task_is_written_with_its_chance(tmp_path: Path) -> None:
    generated(tmp_path / "5hop.json")
    sizes = write_task("prontoqa", settings(tmp_path / "5hop.json"), tmp_path)
    assert sizes == {"train": 7, "validation": 2, "test": 3}
    assert schemas.read(tmp_path / EXAMPLES, schemas.REASONING).num_rows == 12
    assert json.loads((tmp_path / REPORT).read_text())["chance"] == 0.5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"test_example": {**one(3), "answer": None}}, "5hop.json: example4: answer: the value is missing (null)"),
        ({"test_example": {**one(3), "answer": "Maybe"}}, "example4: answer: no one boolean in 'Maybe'"),
        ({"test_example": {**one(3), "chain_of_thought": "a"}}, "example4: chain_of_thought: it is no list"),
        ({"test_example": {**one(3), "chain_of_thought": []}}, "example4: steps: the row has no steps"),
        ({"test_example": {"question": "q", "query": "Prove: p", "chain_of_thought": []}}, "without --proofs-only"),
        ({"in_context_example0": one(3)}, "example4: it has no test_example with question, query, chain_of_thought"),
        ([], "example4: it has no test_example"),
    ],
)
def test_a_broken_example_is_one_line(tmp_path: Path, change: Any, words: str) -> None:
    made = {**generated(tmp_path / "5hop.json"), "example4": change}
    (tmp_path / "5hop.json").write_text(json.dumps(made))
    with pytest.raises(UserError) as caught:
        list(settings(tmp_path / "5hop.json").examples())
    assert words in str(caught.value)


def test_a_file_of_another_form_and_too_few_examples_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps([{"question": "q", "answer": "True"}] * 20))
    with pytest.raises(UserError, match=r"40 rows cannot be used: .*it has no test_example with .*, and 35 more; "):
        list(settings(tmp_path / "rows.json").examples())
    generated(tmp_path / "5hop.json", count=5)
    with pytest.raises(UserError, match="the file has 5 examples; lower validation or test"):
        list(settings(tmp_path / "5hop.json").examples())


def test_the_shipped_task_reads_the_name_that_the_generator_gives_its_file() -> None:
    made = prontoqa.Settings.model_validate(yaml.safe_load((ROOT / "config/tasks/prontoqa.yaml").read_text()))
    assert made.path == "data/5hop_0shot_random.json"
    assert made.splits.model_dump() == {"validation": 200, "test": 800}
