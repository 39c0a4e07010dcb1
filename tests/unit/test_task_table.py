"""Tables of one's own: columns, steps, answers and splits, read from every kind of file."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from thoughtscope import tables
from thoughtscope.errors import UserError
from thoughtscope.tasks import table
from thoughtscope.tasks.prepare import CONTAMINATION, EXAMPLES, write_task

ROOT = Path(__file__).parents[2]
GSM8K = {
    "question": "Natalia sold clips to 48 friends, then half as many. How many?",
    "answer": "She sold 48/2 = <<48/2=24>>24 clips.\nTogether 48+24 = <<48+24=72>>72.\n#### 72",
}


def settings(
    folder: Path, rows: list[dict[str, Any]], train: dict[str, Any] | None = None, **changes: Any
) -> table.Settings:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    named = ("train", "test") if "hold_out" in changes else ("train", "validation", "test")
    splits = {name: {"path": str(folder / "rows.jsonl")} for name in named}
    splits["train"].update(train or {})
    return table.Settings.model_validate({"kind": "table", "splits": splits, **changes})


def rows(count: int = 3) -> list[dict[str, Any]]:
    return [
        {"question": f"what is {i} + 1?", "steps": [f"{i} + 1 = {i + 1}"], "answer": str(i + 1)} for i in range(count)
    ]


def first(made: table.Settings) -> dict[str, Any]:
    return next(table.examples(made))


def test_a_row_becomes_question_steps_and_answer(tmp_path: Path) -> None:
    found = first(settings(tmp_path, rows()))
    assert found == {
        "example_id": "train-0", "split": "train", "question": "what is 0 + 1?", "steps": ["0 + 1 = 1"],
        "answer": "1", "answer_format": "number", "step_values": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("split_steps", "steps"),
    [
        ("lines", ["She sold 48/2 = <<48/2=24>>24 clips.", "Together 48+24 = <<48+24=72>>72."]),
        ("equations", ["48/2=24", "48+24=72"]),
    ],
)
def test_gsm8k_in_both_its_forms(tmp_path: Path, split_steps: str, steps: list[str]) -> None:
    columns = {"steps": "answer", "split_steps": split_steps}
    found = first(settings(tmp_path, [GSM8K], columns=columns))
    assert (found["steps"], found["answer"]) == (steps, "72")


def test_a_question_is_put_together_from_columns_and_choices(tmp_path: Path) -> None:
    row = {
        "question": "Where does money lie?",
        "choices": {"label": ["A", "B"], "text": ["bank", "river"]},
        "answerKey": "A",
    }
    columns = {"question": "{question} {choices}", "steps": None, "answer": "answerKey"}
    found = first(settings(tmp_path, [row], columns=columns, answer_format="choice"))
    assert (found["question"], found["answer"]) == ("Where does money lie? (A) bank (B) river", "A")


def write_json(path: Path, made: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps(made))


def write_csv(path: Path, made: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["question", "answer"])
        writer.writeheader()
        writer.writerows({key: row[key] for key in ("question", "answer")} for row in made)


def write_parquet(path: Path, made: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(made), path)


@pytest.mark.parametrize("write", [write_json, write_csv, write_parquet])
def test_every_kind_of_file_is_read(tmp_path: Path, write: Any) -> None:
    path = tmp_path / f"part-1.{write.__name__.removeprefix('write_')}"
    write(path, rows(2))
    made = settings(tmp_path, rows(), {"path": str(tmp_path / "part-*")}, columns={"steps": None})
    assert [row["answer"] for row in table.examples(made) if row["split"] == "train"] == ["1", "2"]


def test_validation_is_held_out_once_and_for_all(tmp_path: Path) -> None:
    made = settings(tmp_path, rows(20), hold_out=5)
    once, again = list(table.examples(made)), list(table.examples(made))
    assert once == again
    sizes = [sum(row["split"] == split for row in once) for split in ("train", "validation", "test")]
    assert sizes == [15, 5, 20]


GOOD = {"question": "q", "steps": ["a"], "answer": "1"}


@pytest.mark.parametrize(
    ("row", "changes", "message"),
    [
        (
            {"steps": ["a"], "answer": "1"},
            {},
            "rows.jsonl:1: no column 'question' for columns.question; name one of answer",
        ),
        ({**GOOD, "question": " "}, {}, "rows.jsonl:1: question: the question is empty"),
        ({**GOOD, "steps": []}, {}, "rows.jsonl:1: steps: the row has no steps"),
        ({**GOOD, "steps": "a"}, {}, "it is no list; set columns.split_steps"),
        ({**GOOD, "answer": "many"}, {}, "rows.jsonl:1: answer: no number in 'many'; correct it"),
        (GOOD, {"path": "nowhere/*.jsonl"}, "no file matches nowhere"),
        (GOOD, {"path": __file__}, "is of no known kind; use one of .jsonl"),
    ],
)
def test_a_bad_row_or_file_is_one_line(
    tmp_path: Path, row: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    made = settings(tmp_path, [row], changes)
    with pytest.raises(UserError) as caught:
        list(table.examples(made))
    assert message in str(caught.value)


def test_a_line_that_does_not_parse_is_named_with_its_file(tmp_path: Path) -> None:
    made = settings(tmp_path, rows())
    (tmp_path / "rows.jsonl").write_text('{"question": \n')
    with pytest.raises(UserError, match="it does not parse"):
        list(table.examples(made))


def test_questions_that_train_and_test_share_are_counted(tmp_path: Path) -> None:
    long = "the quick brown fox jumps over the lazy dog and runs far away into the wood"
    made = [{"split": "train", "question": "What is 1 + 1?"}, {"split": "train", "question": long}]
    made += [{"split": "test", "question": "what is 1 + 1"}, {"split": "test", "question": f"Then {long}!"}]
    made += [{"split": "test-more", "question": "something else"}]
    assert table.contamination(made) == {
        "test": {"questions": 2, "whole": 1, "in_part": 1},
        "test-more": {"questions": 1, "whole": 0, "in_part": 0},
    }


def test_a_written_table_reads_back_with_its_contamination(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    sizes = write_task("mine", table, settings(tmp_path, rows(4)), out)
    assert sizes == {"train": 4, "validation": 4, "test": 4}
    read = tables.read(out / EXAMPLES, tables.REASONING).to_pylist()
    assert {row["answer_format"] for row in read} == {"number"}
    assert json.loads((out / CONTAMINATION).read_text())["test"]["whole"] == 4


@pytest.mark.parametrize("name", ["gsm8k", "gsm8k-aug", "commonsenseqa", "prontoqa"])
def test_the_shipped_tables_are_valid(name: str) -> None:
    table.Settings.model_validate(yaml.safe_load((ROOT / f"config/tasks/{name}.yaml").read_text()))
