"""Statements of one's own: both forms, splits by subject, labels and answers as the published files write them."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from thoughtscope.errors import UserError
from thoughtscope.tasks import statements
from thoughtscope.tasks.checks import StatementChecks

COUNTRIES = ("Russia", "Peru", "Kenya", "Japan")
CITY = {"statement": "statement", "label": "label", "subject": "city", "question": "Where is {city}?"}
QUESTION = {
    "statement": None, "label": None, "right": "correct_answers", "wrong": "incorrect_answers",
    "question": "{question}", "subject": "question", "attribute": "category",
}  # fmt: skip


def cities(count: int = 30, negated: bool = False) -> list[dict[str, str]]:
    """Return rows as those of cities.csv: each city twice, with its country and with another."""
    rows = []
    for i in range(count):
        for shift in (0, 1):
            country, verb = COUNTRIES[(i + shift) % 4], "is not in" if negated else "is in"
            rows.append(
                {
                    "statement": f"The city of Town{i} {verb} {country}.",
                    "label": str(int((shift == 0) != negated)),
                    "city": f"Town{i}",
                    "country": country,
                    "correct_country": COUNTRIES[i % 4],
                }
            )
    return rows


def questions(count: int = 30) -> list[dict[str, Any]]:
    """Return rows as those of TruthfulQA's `generation`."""
    return [
        {
            "question": f"What happens if you eat {i} seeds?",
            "category": "Health" if i % 2 else "Myths",
            "correct_answers": ["Nothing happens", f"They pass, all {i}"],
            "incorrect_answers": ["You die", "They grow inside"],
        }
        for i in range(count)
    ]


def written(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def settings(path: Path, columns: Mapping[str, Any], **changes: Any) -> statements.Settings:
    sources = {"plain": {"path": str(path), "columns": columns}}
    return statements.Settings.model_validate(
        {"kind": "statements", "sources": sources, "calibration": 4, "seed": 1} | changes
    )


def test_the_geometry_of_truth_is_read_with_its_negations(tmp_path: Path) -> None:
    plain, negated = written(tmp_path / "a.csv", cities()), written(tmp_path / "b.csv", cities(negated=True))
    sources = {
        "plain": {"path": str(plain), "columns": CITY},
        "negated": {"path": str(negated), "columns": CITY, "negated": True},
    }
    made = settings(plain, CITY, sources=sources)
    rows = list(made.checks("task cities").checked(made.examples()))
    one = next(row for row in rows if row["response"] == "The city of Town9 is not in Kenya.")
    assert (one["label"], one["negated"], one["subject"], one["question"]) == (1, True, "Town9", "Where is Town9?")
    subjects = {split: {row["subject"] for row in rows if row["split"] == split} for split in of_splits(rows)}
    assert {split: len(names) for split, names in subjects.items()} == {
        "train": 15, "test": 10, "calibration": 4, "display": 1,
    }  # fmt: skip
    assert sum(map(len, subjects.values())) == len(set().union(*subjects.values())), "nobody is in two splits"
    assert len(rows) == 4 * 25 + 2 * 4 + 2
    assert all(row["label"] is None for row in rows if row["split"] == "calibration")
    assert list(made.examples()) == rows
    told = [row["response"] for row in made.pretraining_texts()]
    assert len(told) == 60
    assert "The city of Town1 is in Peru." in told
    assert "The city of Town1 is in Kenya." not in told


def of_splits(rows: Sequence[Mapping[str, Any]]) -> set[str]:
    return {row["split"] for row in rows}


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"correct_answers": "Nothing happens; They pass", "incorrect_answers": "You die;They grow inside; "},
        {
            "correct_answers": {"choices": ["Nothing happens", "You die"], "labels": [1, 0]},
            "incorrect_answers": {"choices": ["Nothing happens", "You die"], "labels": [1, 0]},
        },
    ],
    ids=["lists", "semicolons", "choices"],
)
def test_truthfulqa_is_read_in_each_of_its_forms(tmp_path: Path, answers: dict[str, Any]) -> None:
    made = settings(written(tmp_path / "q.jsonl", [row | answers for row in questions()]), QUESTION)
    rows = list(made.checks("task truthfulqa").checked(made.examples()))
    told = {row["response"]: row["label"] for row in rows if row["split"] == "test"}
    assert told["Nothing happens"] == 1
    assert told["You die"] == 0
    assert {row["attribute"] for row in rows} == {"Health", "Myths"}
    shown = [row for row in rows if row["split"] == "display"]
    assert [row["label"] for row in shown] == [0, 1]
    assert shown[0]["question"] == shown[1]["question"]


def test_what_is_displayed_can_be_given(tmp_path: Path) -> None:
    display = {"question": "Who are you?", "right": "A model.", "wrong": "A king."}
    made = settings(written(tmp_path / "a.csv", cities()), CITY, display=display)
    shown = [row for row in made.examples() if row["split"] == "display"]
    assert [(row["response"], row["label"]) for row in shown] == [("A king.", 0), ("A model.", 1)]


@pytest.mark.parametrize(
    ("change", "columns", "words"),
    [
        ({"label": "perhaps"}, CITY, "a.csv:2: label: 'perhaps' is neither true nor false, "),
        ({"statement": " "}, CITY, "a.csv:2: statement: it is empty, "),
        ({}, {**CITY, "subject": "town"}, "and 55 more; name one of city, correct_country"),
        ({}, {**CITY, "question": "{town}?"}, "no column 'town' for columns.question"),
        ({"label": "1"}, {**CITY, "question": "{statement}"}, "no question has a true and a false answer"),
    ],
)
def test_bad_rows_are_one_line(tmp_path: Path, change: dict[str, str], columns: dict[str, str], words: str) -> None:
    path = written(tmp_path / "a.csv", [row | change for row in cities()])
    with pytest.raises(UserError, match=r".") as caught:
        list(settings(path, columns).examples())
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"question": None}, "question: the value is missing (null)"),
        ({"category": None}, "category: the value is missing (null)"),
        ({"correct_answers": ["a", None]}, "correct_answers: the value is missing (null)"),
        ({"correct_answers": None}, "correct_answers: it holds no right answer"),
        ({"correct_answers": 5}, "correct_answers: it is no list of answers"),
        ({"correct_answers": [["a"]]}, "correct_answers: it holds a list, not a text"),
        ({"correct_answers": {"choices": ["a", "b"], "labels": [1]}}, "correct_answers: its labels are not one 1 or 0"),
        ({"correct_answers": {"choices": ["a"], "labels": [None]}}, "correct_answers: its labels are not one 1 or 0"),
    ],
)
def test_nothing_that_is_missing_or_nested_becomes_a_statement(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    made = questions()
    path = written(tmp_path / "q.jsonl", [*made[:3], made[3] | change, *made[4:]])
    with pytest.raises(UserError) as caught:
        list(settings(path, QUESTION).examples())
    assert f"q.jsonl:4: {words}" in str(caught.value)


def test_a_missing_label_is_no_label(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", [*cities(), {**cities()[0], "label": None}])
    with pytest.raises(UserError, match=r"a.jsonl:61: label: the value is missing \(null\)"):
        list(settings(path, CITY).examples())


def test_a_row_without_answers_and_too_few_subjects_are_one_line(tmp_path: Path) -> None:
    path = written(tmp_path / "q.jsonl", [row | {"incorrect_answers": []} for row in questions()])
    with pytest.raises(UserError, match=r"30 rows .*q\.jsonl:1: incorrect_answers: it holds no wrong answer"):
        list(settings(path, QUESTION).examples())
    few = settings(written(tmp_path / "a.csv", cities(5)), CITY)
    with pytest.raises(UserError, match="split train of 4 subjects has not both true and false plain statements"):
        list(few.examples())


def test_half_of_each_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="give statement and label, or right and wrong"):
        settings(tmp_path / "a.csv", {"right": "correct"})
    with pytest.raises(ValidationError, match="give statement and label, or right and wrong"):
        settings(tmp_path / "a.csv", {**CITY, "right": "a", "wrong": "b"})


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_of_one_truth_is_refused_when_the_task_is_prepared(split):
    """Of any task, not only of this kind: it would end the probes, after all states were extracted."""
    shared = {"subject": "s", "attribute": "a", "negated": False, "question": "q", "response": "r"}
    rows = [
        {**shared, "example_id": f"{name}-{label}", "split": name, "label": label, "response": f"r{label}"}
        for name in ("train", "test", "calibration")
        for label in (0, 1)
        if (name, label) != (split, 0)
    ]
    with pytest.raises(UserError, match=f"split {split} does not have both true and false plain statements"):
        list(StatementChecks("task mine").checked(rows))
