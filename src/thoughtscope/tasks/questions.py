"""Turns rows of a dataset into questions with steps and answers, by a mapping of columns."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, model_validator

from thoughtscope.errors import UserError
from thoughtscope.settings import Strict
from thoughtscope.tasks.answers import MARKS, AnswerFormat, Judge, Tolerance, UnreadableError
from thoughtscope.tasks.columns import Column, as_text, choice_labels, text_of, value_of
from thoughtscope.tasks.reading import Row
from thoughtscope.tasks.reasoning import ANSWER, Skipped

EQUATION = re.compile(r"<<(.+?)>>")


class Columns(Strict):
    """The columns of question, steps and answer; each is a name or a template with `{column}`."""

    question: Column = "question"
    steps: Column | None = Field("steps", description="null: the rows have no steps")
    split_steps: Literal["list", "lines", "sentences", "equations"] = Field(
        "list", description="how steps are separated: elements of a list, lines, sentences, or text between << and >>"
    )
    answer: Column = "answer"


class Reading(Strict):
    """How rows are turned into questions."""

    columns: Columns = Columns()
    answer_format: AnswerFormat = Field("number", description="how gold and predicted answers are read and compared")
    answer_marks: list[str] = Field(
        [], description="further words that an answer follows, e.g. the answer is; used if there is no #### or \\boxed"
    )
    tolerance: Tolerance = Tolerance()
    no_steps: Literal["refuse", "keep"] = Field("refuse", description="what to do with training rows without steps")
    unreadable: Literal["refuse", "skip"] = Field(
        "refuse",
        description="what to do with rows without a clear answer; skip leaves them out and counts them",
    )

    @model_validator(mode="after")
    def _marks_are_words(self) -> Reading:
        if not all(mark.strip() for mark in self.answer_marks):
            raise ValueError("answer_marks: an empty mark occurs everywhere; give words")
        return self


def example(place: str, row: Row, reading: Reading, split: str) -> dict[str, Any] | Skipped:
    """Return an example without its id, or `Skipped` if its answer is unreadable and such rows are skipped.

    Args:
        place: the row, for messages.
        split: the split of the example.

    Raises:
        UserError: a part of the example is missing or cannot be read; names the place and the column.
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
