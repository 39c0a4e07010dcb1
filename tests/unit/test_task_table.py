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
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from thoughtscope import schemas
from thoughtscope.errors import UserError
from thoughtscope.tasks import table
from thoughtscope.tasks.answers import Judge, Tolerance
from thoughtscope.tasks.overlap import overlaps
from thoughtscope.tasks.prepare import EXAMPLES, PRETRAINING, REPORT, write_task

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
    for name in named[1:]:  # the other splits have questions of their own
        splits[name] = {"path": str(folder / f"{name}.jsonl")}
        others = [{**row, "question": f"{name}: {row.get('question')}"} for row in rows]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in others))
    splits["train"].update(train or {})
    return table.Settings.model_validate({"kind": "table", "splits": splits, **changes})


def rows(count: int = 3) -> list[dict[str, Any]]:
    return [
        {"question": f"what is {i} + 1?", "steps": [f"{i} + 1 = {i + 1}"], "answer": str(i + 1)} for i in range(count)
    ]


def read_all(made: table.Settings) -> list[dict[str, Any]]:
    return [row for row in made.examples() if isinstance(row, dict)]


def first(made: table.Settings) -> dict[str, Any]:
    return read_all(made)[0]


def refused(made: table.Settings) -> str:
    """Return the one line that a task is refused with."""
    with pytest.raises(UserError) as caught:
        list(made.examples())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_row_becomes_question_steps_and_answer(tmp_path: Path) -> None:
    found = first(settings(tmp_path, rows()))
    assert found == {
        "example_id": "train-0", "split": "train", "question": "what is 0 + 1?", "steps": ["0 + 1 = 1"],
        "answer": "1", "answer_format": "number", "absolute_tolerance": 0.0, "relative_tolerance": 0.0,
        "answer_marks": ["####", "\\boxed"], "step_values": [], "outcomes": [], "overlap": None,
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
    assert [row["answer"] for row in read_all(made) if row["split"] == "train"] == ["1", "2"]


def test_validation_is_held_out_once_and_for_all(tmp_path: Path) -> None:
    made = settings(tmp_path, rows(20), hold_out=5)
    once, again = read_all(made), read_all(made)
    assert once == again
    assert len({row["example_id"] for row in once}) == 40
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
        ({**GOOD, "steps": [""]}, {}, "rows.jsonl:1: steps: the row has no steps; complete or remove it, or no_steps"),
        ({**GOOD, "steps": None}, {}, "rows.jsonl:1: steps: the row has no steps"),
        ({**GOOD, "steps": ["a", None]}, {}, "rows.jsonl:1: steps[1]: the value is missing (null)"),
        ({**GOOD, "steps": ["a", ["b"]]}, {}, "rows.jsonl:1: steps[1]: it holds a list, not a text"),
        ({**GOOD, "question": None}, {}, "rows.jsonl:1: question: the value is missing (null); complete or remove"),
        ({**GOOD, "question": float("nan")}, {}, "rows.jsonl:1: question: the question is the number nan; name the"),
        ({**GOOD, "question": 5}, {}, "rows.jsonl:1: question: the question is the number 5; name the column"),
        ({**GOOD, "question": {"text": "q"}}, {}, "rows.jsonl:1: question: it holds a dict, not a text"),
        ({**GOOD, "question": "a \ud800"}, {}, "rows.jsonl:1: question: it holds half of a surrogate pair"),
        ({**GOOD, "answer": None}, {}, "rows.jsonl:1: answer: the value is missing (null); correct it, or"),
        ({**GOOD, "answer": float("nan")}, {}, "rows.jsonl:1: answer: the value is missing (nan)"),
        ({**GOOD, "answer": float("inf")}, {}, "rows.jsonl:1: answer: the value is missing (inf)"),
        ({**GOOD, "answer": ["1"]}, {}, "rows.jsonl:1: answer: it holds a list, not a text"),
        ({**GOOD, "answer": True}, {}, "rows.jsonl:1: answer: no one number in 'True'"),
        ({**GOOD, "answer": "3 to 4"}, {}, "rows.jsonl:1: answer: no one number in '3 to 4': the number in it"),
        ({**GOOD, "answer": "18 (2 each)"}, {}, "no one number in '18 (2 each)': it holds more than one number"),
        ({**GOOD, "steps": "a"}, {}, "it is no list; set columns.split_steps"),
        ({**GOOD, "answer": "many"}, {}, "rows.jsonl:1: answer: no one number in 'many': no number in it; correct it"),
        (GOOD, {"path": "nowhere/*.jsonl"}, "no file matches nowhere"),
        (GOOD, {"path": __file__}, "is of no known kind; use one of .jsonl"),
    ],
)
def test_a_bad_row_or_file_is_one_line(
    tmp_path: Path, row: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    assert message in refused(settings(tmp_path, [row], changes))


def test_all_rows_that_cannot_be_used_are_named_at_once(tmp_path: Path) -> None:
    made = settings(tmp_path, rows(20))
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    lines[3], lines[5] = '{"question": ', '{"question": "q", "steps": [], "answer": "1"}'
    lines[8:17] = ['{"question": "q", "steps": ["a"], "answer": null}'] * 9
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    told = refused(made)
    assert told.startswith("task table: splits.train: 11 rows cannot be used: ")
    assert "rows.jsonl:4: it is no JSON that can be read" in told
    assert "rows.jsonl:6: steps: the row has no steps" in told
    assert "rows.jsonl:11: answer: the value is missing (null), and 6 more; correct the line" in told


def test_a_cell_that_is_missing_is_never_the_word_none(tmp_path: Path) -> None:
    (tmp_path / "short.csv").write_text("question,answer\nwhat?,1\nwhat else?\n")
    short = {"path": str(tmp_path / "short.csv"), "columns": {"steps": None}}
    made = settings(tmp_path, rows(), short)
    assert "short.csv:3: it has 1 cells, the header names 2" in refused(made)
    pq.write_table(pa.table({"question": ["q", "r"], "answer": ["yes", None]}), tmp_path / "null.parquet")
    null = {"path": str(tmp_path / "null.parquet"), "columns": {"steps": None}}
    made = settings(tmp_path, [{"question": "q", "steps": [], "answer": "a"}], null, answer_format="text")
    assert "null.parquet: row 2: answer: the value is missing (null)" in refused(made)
    made = settings(tmp_path, [{"a": "x", "b": None}], columns={"question": "{a} {b}", "steps": None, "answer": "a"})
    assert "rows.jsonl:1: b: the value is missing (null)" in refused(made)


def test_answers_that_cannot_be_read_may_be_skipped_and_are_counted(tmp_path: Path) -> None:
    bad = [{"question": f"bad {i}", "steps": ["a"], "answer": answer} for i, answer in enumerate(["3:30", None, "one"])]
    made = settings(tmp_path, [*rows(10), *bad], hold_out=4, unreadable="skip")
    (tmp_path / "out").mkdir()
    assert write_task("mine", made, tmp_path / "out") == {"train": 6, "validation": 4, "test": 10}
    report = json.loads((tmp_path / "out" / REPORT).read_text())
    assert report["skipped"] == {"train": {"unreadable answer": 3}, "test": {"unreadable answer": 3}}
    assert "3 rows cannot be used" in refused(settings(tmp_path, [*rows(10), *bad], hold_out=4))
    structural = [{"question": None, "steps": ["a"], "answer": "1"}]
    assert "question" in refused(settings(tmp_path, [*rows(), *structural], unreadable="skip"))


def test_rows_without_steps_may_be_kept_and_are_counted(tmp_path: Path) -> None:
    """Coconut's preprocessing/gsm_icot.py writes an empty chain as a list of one empty text."""
    made = settings(tmp_path, [*rows(3), {"question": "q", "steps": [""], "answer": "18"}], no_steps="keep")
    assert [row["steps"] for row in read_all(made)][3] == []
    (tmp_path / "out").mkdir()
    write_task("mine", made, tmp_path / "out")
    report = json.loads((tmp_path / "out" / REPORT).read_text())
    assert report["answers"]["train"]["without_steps"] == 1
    texts = schemas.read(tmp_path / "out" / PRETRAINING, schemas.PRETRAINING).to_pylist()
    assert texts[3] == {"question": "q", "response": "#### 18"}


def test_numbers_of_json_are_read_exactly(tmp_path: Path) -> None:
    made = settings(tmp_path, [{**GOOD, "answer": answer} for answer in (18, 18.0, 1e22, 13.333333333333334, -0.5)])
    found = [row["answer"] for row in read_all(made)][:5]
    assert found == ["18", "18", "10000000000000000000000", "13.333333333333334", "-0.5"]


def test_tolerance_and_marks_of_a_task_stand_with_each_example(tmp_path: Path) -> None:
    made = settings(
        tmp_path, rows(), {"tolerance": {"absolute": 1e-3}}, tolerance={"relative": 0.1},
        answer_marks=["the answer is"],
    )  # fmt: skip
    judges = {row["split"]: Judge.of(row) for row in read_all(made)}
    assert judges["train"].correct("1.0005", "1")
    assert not judges["train"].correct("1.05", "1")
    assert judges["test"].correct("1.05", "1")
    assert judges["test"].read("The answer is 5 apples") == "5"


@pytest.mark.parametrize("column", ["{question", "question}", "{{question}}", "{}", "{a} {"])
def test_braces_that_do_not_close_are_refused_with_the_settings(column: str) -> None:
    with pytest.raises(ValidationError, match="in braces of its own"):
        table.Columns(question=column)


def test_a_template_takes_columns_of_any_name_and_nothing_else_of_them(tmp_path: Path) -> None:
    row = {"Body of it": "Ann has 3.", "a.b": "How many?", "answer": "3"}
    columns = {"question": "{Body of it} {a.b}", "steps": None, "answer": "answer"}
    assert first(settings(tmp_path, [row], columns=columns))["question"] == "Ann has 3. How many?"
    columns["question"] = "{answer.__class__}"
    assert "no column 'answer.__class__' for columns.question" in refused(settings(tmp_path, [row], columns=columns))


@pytest.mark.parametrize(
    ("labels", "answer", "told"),
    [
        (["A", "B"], "A", None),
        (["1", "2"], "2", None),
        (list("ABCDEFGHIJ"), "J", None),
        (["A", "B"], "C", "'C' is none of the choices A, B"),
        (["A", "B"], 1, "'1' is none of the choices A, B"),
        (["A", "B", "C"], "A", "3 labels for 2 choices"),
        ([], "A", "0 labels for 2 choices"),
    ],
)
def test_labels_of_choices(tmp_path: Path, labels: list[str], answer: Any, told: str | None) -> None:
    texts = ["x"] * (2 if told and "labels" in told else len(labels))
    row = {"question": "q", "choices": {"label": labels, "text": texts}, "answer": answer}
    columns = {"question": "{question} {choices}", "steps": None}
    made = settings(tmp_path, [row], columns=columns, answer_format="choice")
    if told is None:
        assert first(made)["answer"] == str(answer)
    else:
        assert told in refused(made)


def test_more_columns_than_a_line_holds_are_cut(tmp_path: Path) -> None:
    told = refused(settings(tmp_path, [{f"column {i:03d}": i for i in range(1000)}]))
    assert told.endswith("name one of column 000, column 001, column 002, column 003, column 004, column 005, "
                         "column 006, column 007, column 008, column 009, ...")  # fmt: skip


LONG = "the quick brown fox jumps over the lazy dog and runs far away into the wood"


def test_questions_that_splits_share_are_found() -> None:
    found = overlaps(
        {
            "train": ["What is 1 + 1?", LONG, "short"],
            "validation": ["what else", "what is 1 + 1"],
            "test": ["what is 1 + 1", f"Then {LONG}!", "What else?", "new", ""],
            "test-more": ["something else", " ".join(LONG.split()[:12]), " ".join(LONG.split()[:13])],
        }
    )
    assert found["validation"].labels == [None, "train"]
    assert found["test"].labels == ["train", "train in part", "validation", None, None]
    assert found["test-more"].labels == [None, None, "train in part"]
    assert found["test"].counts == {"questions": 5, "whole": 1, "in_part": 1, "in_validation": 2}


@given(
    st.lists(st.lists(st.sampled_from("abcd"), max_size=40), min_size=1, max_size=8),
    st.lists(st.lists(st.sampled_from("abcd"), max_size=40), min_size=1, max_size=4),
)
def test_hashes_find_what_a_search_through_all_pieces_finds(train: list[list[str]], test: list[list[str]]) -> None:
    pieces = {tuple(words[i : i + 13]) for words in train for i in range(len(words) - 12)}
    expected = [any(tuple(words[i : i + 13]) in pieces for i in range(len(words) - 12)) for words in test]
    found = overlaps({"train": list(map(" ".join, train)), "test": list(map(" ".join, test))})
    assert found["test"].part.tolist() == expected
    assert found["test"].whole.tolist() == [words in train for words in test]


def test_a_written_table_reads_back_with_what_splits_share(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    made = settings(tmp_path, rows(4))
    shared = rows(8)[3:]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in shared))
    assert write_task("mine", made, out) == {"train": 4, "validation": 4, "test": 5}
    read = schemas.read(out / EXAMPLES, schemas.REASONING).to_pylist()
    assert {row["answer_format"] for row in read} == {"number"}
    assert [row["overlap"] for row in read] == [None] * 8 + ["train"] + [None] * 4
    report = json.loads((out / REPORT).read_text())
    assert report["overlap"]["test"] == {"questions": 5, "whole": 1, "in_part": 0, "in_validation": 0}
    assert report["answers"]["test"]["best_constant"] == 0.2


@pytest.mark.parametrize("same", [6, 3])
def test_a_validation_set_that_is_the_test_set_is_refused(tmp_path: Path, same: int) -> None:
    made = settings(tmp_path, rows(6))
    lines = (tmp_path / "test.jsonl").read_text().splitlines()[:same]
    (tmp_path / "validation.jsonl").write_text("\n".join([*lines, *(tmp_path / "rows.jsonl").read_text().splitlines()]))
    with pytest.raises(
        UserError, match=f"splits.validation: it has {same} questions of test, so the test would decide"
    ):
        write_task("mine", made, tmp_path)


def test_rows_are_written_as_they_come(tmp_path: Path) -> None:
    """Of a large dataset no more rows than a batch are in memory as Python objects."""

    class Row(dict[str, str]):
        alive = most = 0

        def __init__(self, number: int) -> None:
            super().__init__(question=str(number), response="r")
            Row.alive += 1
            Row.most = max(Row.most, Row.alive)

        def __del__(self) -> None:
            Row.alive -= 1

    assert schemas.write(tmp_path / "a.parquet", schemas.PRETRAINING, (Row(i) for i in range(50_000))) == 50_000
    assert Row.most < 20_000
    assert schemas.read(tmp_path / "a.parquet", schemas.PRETRAINING).num_rows == 50_000


@pytest.mark.parametrize("name", ["gsm8k", "gsm8k-aug", "commonsenseqa", "prosqa-published"])
def test_the_shipped_tables_are_valid(name: str) -> None:
    table.Settings.model_validate(yaml.safe_load((ROOT / f"config/tasks/{name}.yaml").read_text()))


@pytest.mark.parametrize(("name", "files"), [("gsm8k-aug", "gsm"), ("prosqa-published", "prosqa")])
def test_shipped_paths_are_those_that_the_official_scripts_write(name: str, files: str) -> None:
    made = table.Settings.model_validate(yaml.safe_load((ROOT / f"config/tasks/{name}.yaml").read_text()))
    paths = [made.splits[split].path for split in ("train", "validation", "test")]
    assert paths == [f"data/{files}_{part}.json" for part in ("train", "valid", "test")]


def test_gsm_hard_is_compared_as_pal_compares_it() -> None:
    made = table.Settings.model_validate(yaml.safe_load((ROOT / "config/tasks/gsm8k-aug.yaml").read_text()))
    assert made.splits["test-gsm-hard"].tolerance == Tolerance(absolute=1e-3)
    assert made.splits["test"].tolerance is None
    assert made.no_steps == "keep"
