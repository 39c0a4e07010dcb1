"""table: questions, steps and answers from files or a hub, by a mapping of columns.

A column is named as it is, or put together from several: `"{Body} {Question}"`. Test sets beside `test` are splits
named `test-...`; they are measured once, at the end of a run.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field, model_validator

from thoughtscope import schemas
from thoughtscope.errors import UserError
from thoughtscope.settings import Positive, Strict
from thoughtscope.tasks.answers import MARKS, AnswerFormat, Judge, Tolerance, UnreadableError
from thoughtscope.tasks.columns import Column, as_text, choice_labels, text_of, value_of
from thoughtscope.tasks.reading import Row, Source, collect, read
from thoughtscope.tasks.reasoning import ANSWER, Skipped

CONTRACT = "reasoning"
OVERLAP = "counted"
EQUATION = re.compile(r"<<(.+?)>>")


class Columns(Strict):
    """What of a row is its question, its steps and its answer: a column, or text with `{column}` in it."""

    question: Column = "question"
    steps: Column | None = Field("steps", description="null: the rows have none")
    split_steps: Literal["list", "lines", "sentences", "equations"] = Field(
        "list", description="what a step is: an element of a list, a line, a sentence, or what is between << and >>"
    )
    answer: Column = "answer"


class Split(Source):
    """Rows of one split; `columns` and `tolerance` may differ from those of the others."""

    columns: Columns | None = None
    tolerance: Tolerance | None = None


class Reading(Strict):
    """How rows become examples."""

    columns: Columns = Columns()
    answer_format: AnswerFormat = Field("number", description="how gold and predicted answers are read and compared")
    answer_marks: list[str] = Field(
        [], description="words after which an answer stands too, e.g. the answer is; looked for after #### and \\boxed"
    )
    tolerance: Tolerance = Tolerance()
    no_steps: Literal["refuse", "keep"] = Field("refuse", description="what becomes of training rows without steps")
    unreadable: Literal["refuse", "skip"] = Field(
        "refuse",
        description="what becomes of rows without one clear answer; skip leaves them out and counts them",
    )

    @model_validator(mode="after")
    def _marks_are_words(self) -> Reading:
        if not all(mark.strip() for mark in self.answer_marks):
            raise ValueError("answer_marks: an empty mark stands everywhere; give words")
        return self


class Settings(Reading):
    """Reasoning data from tables."""

    kind: Literal["table"]
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


def examples(settings: Settings) -> Iterator[dict[str, Any] | Skipped]:
    """Yield the rows of every split, read and checked, and what was skipped.

    Raises:
        UserError: a column is missing, a question is empty, a row that trains has no steps, or an answer
            cannot be read; the first rows are named with file and column, the others counted.
    """
    for split, source in settings.splits.items():
        reading = settings.model_copy(
            update={key: value for key in ("columns", "tolerance") if (value := getattr(source, key)) is not None}
        )
        where = f"task table: splits.{split}"
        rows = collect(read(source, where), where, partial(example, reading=reading, split=split))
        if split == "train" and settings.hold_out is not None:
            rows = hold_out(rows, settings.hold_out, settings.seed)
        number = 0
        for row in rows:
            if isinstance(row, Skipped):
                yield row
            else:
                yield {**row, "example_id": f"{split}-{number}"}
                number += 1


def hold_out(rows: Iterator[dict[str, Any] | Skipped], count: int, seed: int) -> Iterator[dict[str, Any] | Skipped]:
    """Yield all rows, `count` of them drawn as the validation split.

    Raises:
        UserError: there are not more rows than that.
    """
    skipped: list[Skipped] = []

    def kept() -> Iterator[dict[str, Any]]:
        for row in rows:
            if isinstance(row, Skipped):
                skipped.append(row)
            else:
                yield {"example_id": "", **row}

    table = pa.Table.from_batches(schemas.batches(schemas.REASONING, kept()), schemas.REASONING)
    if count >= table.num_rows:
        raise UserError("task table: hold_out", f"train has {table.num_rows} rows", "lower it")
    drawn = set(random.Random(seed).sample(range(table.num_rows), count))
    yield from skipped
    number = 0
    for batch in table.to_batches():
        for row in batch.to_pylist():
            yield {**row, "split": "validation" if number in drawn else row["split"]}
            number += 1


def example(place: str, row: Row, reading: Reading, split: str) -> dict[str, Any] | Skipped:
    """Return an example without its id: question, steps, canonical answer, and how answers are compared.

    Raises:
        UserError: something is missing or cannot be read; place and column are named.
    """
    columns = reading.columns
    if "{" not in columns.question and isinstance(row.get(columns.question), bool | int | float):
        problem = f"the question is the number {row[columns.question]}"
        raise UserError(f"{place}: {columns.question}", problem, "name the column of the questions' texts")
    question = text_of(place, row, columns.question, "columns.question").strip()
    if not question:
        raise UserError(f"{place}: {columns.question}", "the question is empty", "complete or remove the row")
    steps = _steps(place, row, columns)
    if columns.steps is not None and not steps and split == "train" and reading.no_steps == "refuse":
        raise UserError(f"{place}: {columns.steps}", "the row has no steps", "complete or remove it, or no_steps: keep")
    judge = Judge(
        form=reading.answer_format,
        absolute=reading.tolerance.absolute,
        relative=reading.tolerance.relative,
        marks=(*MARKS, *reading.answer_marks),
    )
    try:
        answer = _answer(place, row, columns.answer, judge)
    except UnreadableError as error:
        if reading.unreadable == "skip":
            return Skipped(split, "unreadable answer")
        fix = "correct it, or answer_format, or set unreadable: skip"
        raise UserError(f"{place}: {columns.answer}", str(error), fix) from error
    texts = {"split": split, "question": question, "steps": steps, "answer": answer}
    return {**texts, **judge.columns, "step_values": [], "outcomes": [], "overlap": None}


def _answer(place: str, row: Row, column: str, judge: Judge) -> str:
    value = value_of(place, row, column, "columns.answer")
    try:
        gold = as_text(column, value)
    except UserError as error:
        raise UnreadableError(error.problem) from error
    shown = gold if len(gold) < 60 else f"{gold[:57]}..."
    try:
        answer = judge.gold(gold)
    except UnreadableError as error:
        raise UnreadableError(f"no one {judge.form} in {shown!r}: {error}") from error
    labels = choice_labels(row)
    if judge.form == "choice" and labels and answer not in [label.upper() for label in labels]:
        raise UnreadableError(f"{shown!r} is none of the choices {', '.join(labels)}")
    return answer


def _steps(place: str, row: Row, columns: Columns) -> list[str]:
    if columns.steps is None:
        return []
    value, where = value_of(place, row, columns.steps, "columns.steps"), f"{place}: {columns.steps}"
    if value is None:
        return []
    if columns.split_steps == "list":
        if not isinstance(value, list):
            raise UserError(where, "it is no list", "set columns.split_steps")
        texts = [as_text(f"{where}[{number}]", step) for number, step in enumerate(value)]
    else:
        text = as_text(where, value).split(ANSWER)[0]
        if columns.split_steps == "equations":
            texts = EQUATION.findall(text)
        else:
            texts = text.splitlines() if columns.split_steps == "lines" else re.split(r"(?<=[.!?])\s+", text)
    steps = [step.strip() for step in texts]
    return [step for step in steps if step]
