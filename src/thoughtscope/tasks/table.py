"""table: questions, steps and answers from files or a hub, by a mapping of columns.

A column is named as it is, or put together from several: `"{Body} {Question}"`. Test sets beside `test` are splits
named `test-...`; they are measured once, at the end of a run.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from thoughtscope.errors import UserError
from thoughtscope.settings import Positive, Strict
from thoughtscope.tasks.answers import AnswerFormat, extract
from thoughtscope.tasks.reading import Row, Source, read
from thoughtscope.tasks.reasoning import response_text

CONTRACT = "reasoning"
OVERLAP = "counted"  # questions that are in train and in a test set are reported, not refused
EQUATION = re.compile(r"<<(.+?)>>")


class Columns(Strict):
    """What of a row is its question, its steps and its answer: a column, or text with `{column}` in it."""

    question: str = "question"
    steps: str | None = Field("steps", description="null: the rows have none")
    split_steps: Literal["list", "lines", "sentences", "equations"] = Field(
        "list", description="what a step is: an element of a list, a line, a sentence, or what stands in << >>"
    )
    answer: str = "answer"


class Split(Source):
    """Rows of one split; `columns` may differ from those of the others."""

    columns: Columns | None = None


class Settings(Strict):
    """Reasoning data from tables."""

    kind: Literal["table"]
    columns: Columns = Columns()
    answer_format: AnswerFormat = Field("number", description="how gold and predicted answers are read and compared")
    splits: dict[str, Split] = Field(..., description="train, test, perhaps validation, and further test sets test-...")
    hold_out: Positive | None = Field(None, description="without a validation split: so many rows of train, drawn once")
    seed: int = Field(0, description="of that draw")

    @model_validator(mode="after")
    def _splits_are_known(self) -> Settings:
        for name in self.splits:
            if name not in ("train", "validation", "test") and not name.startswith("test-"):
                raise ValueError(f"split {name!r} is none of train, validation, test, test-...")
        if ("validation" in self.splits) == (self.hold_out is not None):
            raise ValueError("give a validation split or hold_out, one of them")
        return self


def examples(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the rows of every split, read and checked.

    Raises:
        UserError: a column is missing, a question is empty, a row that trains has no steps, or an answer
            cannot be read; the file, the row and the key are named.
    """
    for split, source in settings.splits.items():
        columns, where = source.columns or settings.columns, f"task table: splits.{split}"
        rows = [
            {"example_id": f"{split}-{number}", "split": split, **_example(place, row, columns, settings, split)}
            for number, (place, row) in enumerate(read(source, where))
        ]
        if split == "train" and settings.hold_out is not None:
            if settings.hold_out >= len(rows):
                raise UserError("task table: hold_out", f"train has {len(rows)} rows", "lower it")
            for number in random.Random(settings.seed).sample(range(len(rows)), settings.hold_out):
                rows[number]["split"] = "validation"
        yield from rows


def pretraining(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the training rows as text, for a tiny backbone that is to learn the words."""
    for row in examples(settings):
        if row["split"] == "train":
            yield {"question": row["question"], "response": response_text(row["steps"], row["answer"])}


def contamination(rows: list[dict[str, Any]], words: int = 13) -> dict[str, dict[str, int]]:
    """Count, for each split but train, its questions that train has too: whole, or `words` words in a row of them.

    Compared without case and punctuation. Thirteen words are those of GPT-3's analysis (arXiv 2005.14165).
    """
    train = [_words(row["question"]) for row in rows if row["split"] == "train"]
    whole, pieces = {tuple(one) for one in train}, {piece for one in train for piece in _pieces(one, words)}
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        if row["split"] != "train":
            counts = found.setdefault(row["split"], {"questions": 0, "whole": 0, "in_part": 0})
            asked = _words(row["question"])
            counts["questions"] += 1
            counts["whole"] += tuple(asked) in whole
            counts["in_part"] += any(piece in pieces for piece in _pieces(asked, words))
    return found


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _pieces(words: list[str], size: int) -> Iterator[tuple[str, ...]]:
    return (tuple(words[i : i + size]) for i in range(len(words) - size + 1))


def _example(place: str, row: Row, columns: Columns, settings: Settings, split: str) -> dict[str, Any]:
    question = str(value_of(place, row, columns.question, "columns.question")).strip()
    if not question:
        raise UserError(f"{place}: {columns.question}", "the question is empty", "complete or remove the row")
    steps = _steps(place, row, columns)
    if columns.steps is not None and not steps and split == "train":
        raise UserError(f"{place}: {columns.steps}", "the row has no steps", "complete or remove it")
    gold = str(value_of(place, row, columns.answer, "columns.answer"))
    answer = extract(gold, settings.answer_format)
    if answer is None:
        shown = gold if len(gold) < 60 else f"{gold[:57]}..."
        raise UserError(
            f"{place}: {columns.answer}", f"no {settings.answer_format} in {shown!r}", "correct it, or answer_format"
        )
    return {
        "question": question,
        "steps": steps,
        "answer": answer,
        "answer_format": settings.answer_format,
        "step_values": [],
    }


def _steps(place: str, row: Row, columns: Columns) -> list[str]:
    if columns.steps is None:
        return []
    value = value_of(place, row, columns.steps, "columns.steps")
    if columns.split_steps == "list":
        if not isinstance(value, list):
            raise UserError(f"{place}: {columns.steps}", "it is no list", "set columns.split_steps")
        return [str(step).strip() for step in value if str(step).strip()]
    text = str(value or "").split("####")[0]
    if columns.split_steps == "equations":
        return [step.strip() for step in EQUATION.findall(text)]
    pieces = text.splitlines() if columns.split_steps == "lines" else re.split(r"(?<=[.!?])\s+", text)
    return [step.strip() for step in pieces if step.strip()]


def value_of(place: str, row: Row, column: str, key: str) -> Any:
    """Return a column's value, or text put together from several."""
    try:
        return column.format_map(_Shown(row)) if "{" in column else row[column]
    except KeyError as error:
        there = ", ".join(sorted(row))
        raise UserError(place, f"no column {error} for {key}", f"name one of {there}") from error


class _Shown(dict[str, Any]):
    """A row whose lists of choices print as `(A) first (B) second`."""

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        if isinstance(value, Mapping) and {"label", "text"} <= set(value):
            return " ".join(f"({a}) {b}" for a, b in zip(value["label"], value["text"], strict=True))
        return value
