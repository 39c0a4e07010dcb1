"""statements: true and false statements from files or a hub, by a mapping of columns, for truth probes.

Two forms are supported. Each row is a statement with its label (the CSVs of The Geometry of Truth, arXiv 2310.06824):

    statement                            label  city
    The city of Krasnodar is in Russia.  1      Krasnodar

or a question with its right and wrong answers (TruthfulQA, arXiv 2109.07958). All statements about a subject are in the
same split: train, test, calibration, or the pair of a true and a false answer that figures display.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from pydantic import Field, model_validator

from thoughtscope.errors import UserError
from thoughtscope.settings import Positive, Probability, Strict
from thoughtscope.tasks.base import StatementTask, calibration_rows
from thoughtscope.tasks.columns import Column, as_text, text_of, value_of
from thoughtscope.tasks.reading import Row, Source, collect, read

LABELS = {"1": 1, "1.0": 1, "true": 1, "0": 0, "0.0": 0, "false": 0}


class Columns(Strict):
    """The columns that a statement is read from; each is a name or a template with `{column}`."""

    statement: Column | None = Field("statement", description="the whole statement; null: use right and wrong")
    label: Column | None = Field("label", description="whether it is true: 1 or 0, true or false")
    right: Column | None = Field(
        None, description="right answers, a list or text separated by ;, instead of statement and label"
    )
    wrong: Column | None = Field(None, description="wrong answers, likewise")
    question: Column = Field("State a fact.", description="what the statement answers; may contain {column}")
    subject: Column | None = Field(None, description="what the statement is about; null: each row has its own subject")
    attribute: Column | None = Field(None, description="a column that groups statements, e.g. a category")

    @model_validator(mode="after")
    def _one_form(self) -> Columns:
        given = {name for name in ("statement", "label", "right", "wrong") if getattr(self, name) is not None}
        if given not in ({"statement", "label"}, {"right", "wrong"}):
            raise ValueError("give statement and label, or right and wrong with statement: null and label: null")
        return self


class Statements(Source):
    """The statements of one source."""

    columns: Columns = Columns()
    negated: bool = Field(
        False, description="whether the statements contain a negation; directions are fitted on plain ones only"
    )


class Display(Strict):
    """A question with a right and a wrong answer, which figures show token by token."""

    question: str
    right: str
    wrong: str


class Settings(StatementTask):
    """Statements from tables."""

    kind: Literal["statements"]
    sources: dict[str, Statements] = Field(..., min_length=1, description="where statements come from; names are free")
    test: Probability = Field(0.4, description="share of the subjects that no direction is fitted on")
    calibration: Positive = Field(20, description="number of subjects that are used only to scale scores")
    display: Display | None = Field(None, description="null: the answers to one question, which is held out")
    seed: int = Field(0, description="seed of all random draws")

    def examples(self) -> Iterator[dict[str, Any]]:
        """Yield the statements, split by subject, the calibration texts and the displayed pair.

        Raises:
            UserError: a column is missing, a label is neither true nor false, a text is empty, no question has a true
                and a false answer to display, or there are too few subjects.
        """
        rows, rng = _rows(self), random.Random(self.seed)
        shown, held_out = _display(self, rows, rng)
        subjects = sorted({row["subject"] for row in rows} - held_out)
        rng.shuffle(subjects)
        tested = round(self.test * (len(subjects) - self.calibration))
        splits = dict.fromkeys(subjects, "train")
        splits |= dict.fromkeys(subjects[: self.calibration], "calibration")
        splits |= dict.fromkeys(subjects[self.calibration : self.calibration + tested], "test")
        spoken = [{**row, "split": splits[row["subject"]]} for row in rows if row["subject"] in splits]
        for split in ("train", "test"):
            labels = {row["label"] for row in spoken if row["split"] == split and not row["negated"]}
            if labels != {0, 1}:
                problem = f"split {split} of {len(subjects)} subjects has not both true and false plain statements"
                raise UserError("task statements", problem, "give more rows, or change test, calibration or seed")
            yield from (row for row in spoken if row["split"] == split)
        yield from calibration_rows([row for row in spoken if row["split"] == "calibration"])
        yield from shown

    def pretraining_texts(self) -> Iterator[dict[str, Any]]:
        """Yield all true statements, which a tiny backbone has to know."""
        for row in _rows(self):
            if row["label"]:
                yield {"question": row["question"], "response": row["response"]}


def _rows(settings: Settings) -> list[dict[str, Any]]:
    """Return all statements of all sources, not yet split."""
    rows = []
    for name, source in settings.sources.items():
        where = f"task statements: sources.{name}"
        made = collect(read(source, where), where, partial(_statements, name=name, source=source))
        for number, told in enumerate(made):
            row_id = f"{name}-{number:05d}"
            for place, row in enumerate(told):
                row["example_id"] = f"{row_id}-{place}{'ft'[row['label']]}"
                rows.append({**row, "subject": row["subject"] or row_id})
    return rows


def _statements(place: str, row: Row, name: str, source: Statements) -> list[dict[str, Any]]:
    """Return the statements of a row; `subject` is empty if no column names it."""
    columns = source.columns
    question = columns.question
    if "{" in question:
        question = _text(place, row, question, "question")
    if columns.statement is not None:
        told = [(_text(place, row, columns.statement, "statement"), _label(place, row, str(columns.label)))]
    else:
        told = [(text, 1) for text in _answers(place, row, str(columns.right), "right")]
        told += [(text, 0) for text in _answers(place, row, str(columns.wrong), "wrong")]
    shared = {
        "subject": _text(place, row, columns.subject, "subject") if columns.subject else "",
        "attribute": _text(place, row, columns.attribute, "attribute") if columns.attribute else name,
        "negated": source.negated,
        "question": question,
    }
    return [{**shared, "response": text, "label": label} for text, label in told]


def _text(place: str, row: Row, column: str, key: str) -> str:
    text = text_of(place, row, column, f"columns.{key}").strip()
    if not text:
        raise UserError(f"{place}: {column}", "it is empty", "complete or remove the row")
    return text


def _label(place: str, row: Row, column: str) -> int:
    value = text_of(place, row, column, "columns.label").strip().lower()
    if value not in LABELS:
        raise UserError(f"{place}: {column}", f"{value!r} is neither true nor false", "write 1 or 0")
    return LABELS[value]


def _answers(place: str, row: Row, column: str, key: str) -> list[str]:
    """Return the answers of a row: a list, text separated by semicolons, or labelled choices as in TruthfulQA."""
    value = value_of(place, row, column, f"columns.{key}")
    if isinstance(value, Mapping) and {"choices", "labels"} <= value.keys():
        value = _labelled(f"{place}: {column}", value["choices"] or [], value["labels"] or [], int(key == "right"))
    texts = value.split(";") if isinstance(value, str) else value or []
    if not isinstance(texts, list):
        raise UserError(f"{place}: {column}", "it is no list of answers", "write a list, or texts separated by ;")
    found = [stripped for text in texts if (stripped := as_text(f"{place}: {column}", text).strip())]
    if not found:
        raise UserError(f"{place}: {column}", f"it holds no {key} answer", "complete or remove the row")
    return found


def _labelled(where: str, texts: list[Any], labels: list[Any], wanted: int) -> list[Any]:
    """Return the choices whose label is `wanted`."""
    if len(texts) != len(labels) or not {str(label).lower() for label in labels} <= LABELS.keys():
        raise UserError(where, "its labels are not one 1 or 0 for each choice", "complete or remove the row")
    return [text for text, label in zip(texts, labels, strict=True) if LABELS[str(label).lower()] == wanted]


def _display(
    settings: Settings, rows: Sequence[dict[str, Any]], rng: random.Random
) -> tuple[list[dict[str, Any]], set[str]]:
    """Return the displayed pair of statements, and the subjects that are held out because of it."""
    if given := settings.display:
        both = [(given.wrong, 0), (given.right, 1)]
        shared: Row = {"subject": "display", "attribute": "display", "negated": False, "question": given.question}
        pair = [{**shared, "response": text, "label": label} for text, label in both]
    else:
        pair = list(_first_pair(rows, rng))
    shown = [{**row, "example_id": f"display-{'ft'[row['label']]}", "split": "display"} for row in pair]
    return shown, {row["subject"] for row in pair}


def _first_pair(rows: Sequence[dict[str, Any]], rng: random.Random) -> tuple[dict[str, Any], dict[str, Any]]:
    plain = [row for row in rows if not row["negated"]]
    rng.shuffle(plain)
    seen: dict[tuple[str, int], dict[str, Any]] = {}
    for row in plain:
        seen.setdefault((row["question"], row["label"]), row)
        if other := seen.get((row["question"], 1 - row["label"])):
            return (row, other) if other["label"] else (other, row)
    raise UserError(
        "task statements: display", "no question has a true and a false answer", "give question, right and wrong"
    )
