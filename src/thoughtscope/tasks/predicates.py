"""predicates: true and false statements about the subjects of a table, for truth probes.

    name             nationality  occupation
    Albert Einstein  German       theoretical physicist
    Frida Kahlo      Mexican      painter

A template and a row give a true statement; with the other cells from another row of the same split, it is false. Every
predicate is used once with its own subject and once with another one, so the text of a predicate does not reveal the
truth. Two rows exchange predicates only if they share no value in any column of the statements, nor in the columns of
`differ`. A cell may have several values, separated by ";".

Subjects are split into train, test and calibration. The split `phrasing` has the test subjects in templates that no
direction is fitted on. Negated statements are only in test, with reversed truth.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, model_validator

from thoughtscope.errors import UserError
from thoughtscope.settings import Positive, Probability, Strict
from thoughtscope.tasks.base import StatementTask, calibration_rows
from thoughtscope.tasks.columns import BRACES, Column, text_of
from thoughtscope.tasks.matching import match
from thoughtscope.tasks.reading import Row, Source, collect, read

HELD_OUT = "phrasing"  # the split with the test subjects in other templates
ARTICLE = re.compile(r"\b([Aa])\(n\)(?= (\w?))")
Templates = dict[str, Column]


class Display(Strict):
    """A false and a true answer that figures show token by token. Their subject is in no other split."""

    subject: str
    question: str
    wrong: str
    right: str


class Settings(StatementTask):
    """Statements from a table of subjects. In a template `{column}` is a cell; `a(n)` becomes a or an."""

    kind: Literal["predicates"]
    table: Source = Field(..., description="the rows, one per subject")
    subject: str = Field("name", description="the column that names the subject")
    question: Column = Field(..., description="the question that a statement answers, e.g. Who is {name}?")
    statements: Templates = Field(..., min_length=1, description="templates of statements; names are free")
    held_out: Templates = Field({}, description="templates of further test statements; no direction is fitted on them")
    negated: Templates = Field({}, description="templates of test statements that negate a predicate")
    differ: list[str] = Field([], description="further columns in which two rows must differ to exchange predicates")
    test: Probability = Field(0.4, description="share of the subjects that no direction is fitted on")
    calibration: Positive = Field(20, description="number of subjects that are used only to scale scores")
    display: Display
    seed: int = Field(0, description="seed of all random draws")

    @model_validator(mode="after")
    def _templates_name_the_subject(self) -> Settings:
        for name, template in {**self.statements, **self.held_out, **self.negated}.items():
            if f"{{{self.subject}}}" not in template:
                raise ValueError(f"template {name} does not name {{{self.subject}}}")
            if set(BRACES.findall(template)) == {self.subject}:
                raise ValueError(f"template {name} says nothing of {{{self.subject}}}: name another column in braces")
        return self

    def examples(self) -> Iterator[dict[str, Any]]:
        """Yield the statements of all splits, the calibration texts, and the displayed pair.

        Raises:
            UserError: a column is missing, a cell is empty, a subject occurs twice, a displayed answer names a subject
                of a split, or no predicate of the split is certainly false of a subject.
        """
        rng = random.Random(self.seed)
        subjects = [one for one in _subjects(self) if one.name != self.display.subject]
        _check_display(self.display, subjects)
        rng.shuffle(subjects)
        tested = self.calibration + round(self.test * max(0, len(subjects) - self.calibration))
        aside, test, train = subjects[: self.calibration], subjects[self.calibration : tested], subjects[tested:]
        for split, members, templates, negated in (
            ("train", train, self.statements, False),
            ("test", test, self.statements, False),
            ("test", test, self.negated, True),
            (HELD_OUT, test, self.held_out, False),
        ):
            for attribute, template in templates.items():
                others = _others(members, rng, f"split {split}")
                for number, (subject, other) in enumerate(zip(members, others, strict=True)):
                    for source, label in ((subject, int(not negated)), (other, int(negated))):
                        yield {
                            **_about(self, subject, attribute, negated),
                            "example_id": f"{split}-{attribute}-{number:04d}-{'ft'[label]}",
                            "split": split,
                            "response": filled(self, template, subject, source),
                            "label": label,
                        }
        yield from calibration_rows([_calibration(self, one) for one in aside])
        yield from _displayed(self.display)

    def pretraining_texts(self) -> Iterator[dict[str, Any]]:
        """Yield all true statements, including the displayed one, which a tiny backbone has to know."""
        for subject in _subjects(self):
            about = _about(self, subject, "", False)
            for template in self.statements.values():
                yield {"question": about["question"], "response": filled(self, template, subject)}
        yield {"question": self.display.question, "response": self.display.right}


@dataclass(frozen=True)
class Subject:
    """A row of the table.

    Attributes:
        place: the place in the file, for messages.
        cells: all columns except that of the subject.
        values: for each compared column, the values in its cell, in lower case.
    """

    name: str
    place: str
    cells: Row
    values: Mapping[str, frozenset[str]]

    def shares(self, other: Subject) -> bool:
        """Return whether both share a value in a compared column, so a predicate of one may be true of the other."""
        return any(values & other.values[column] for column, values in self.values.items())


def filled(settings: Settings, template: str, subject: Subject, other: Subject | None = None) -> str:
    """Return a template filled with the name of a subject, and with its cells or those of `other`."""
    row = {**(other or subject).cells, settings.subject: subject.name}
    return ARTICLE.sub(_article, text_of(subject.place, row, template, "template"))


def _subjects(settings: Settings) -> list[Subject]:
    """Return the rows of the table; refuse repeated names."""
    templates = [*settings.statements.values(), *settings.held_out.values(), *settings.negated.values()]
    used = {column for template in templates for column in BRACES.findall(template)}
    compared = sorted({*used, *settings.differ} - {settings.subject})

    def subject(place: str, row: Row) -> Subject:
        cells = {column: _cell(place, row, column) for column in (settings.subject, *compared)}
        values = {column: frozenset(part.strip().lower() for part in cells[column].split(";")) for column in compared}
        rest = {column: value for column, value in {**row, **cells}.items() if column != settings.subject}
        return Subject(cells[settings.subject], place, rest, values)

    where = "task predicates: table"
    found: dict[str, Subject] = {}
    for one in collect(read(settings.table, where), where, subject):
        if one.name in found:
            raise UserError(one.place, f"{one.name} stands in {found[one.name].place} too", "keep one row of the two")
        found[one.name] = one
    return list(found.values())


def _cell(place: str, row: Row, column: str) -> str:
    text = text_of(place, row, column, "table").strip()
    if not text:
        raise UserError(f"{place}: {column}", "it is empty", "complete or remove the row")
    return text


def _others(members: Sequence[Subject], rng: random.Random, where: str) -> list[Subject]:
    """Return for each subject another one whose predicate is false of it, using each once."""
    candidates = []
    for member in members:
        allowed = [place for place, other in enumerate(members) if other is not member and not member.shares(other)]
        rng.shuffle(allowed)
        candidates.append(allowed)
    found = match(candidates)
    if None in found:
        alone = members[found.index(None)]
        raise UserError(
            f"task predicates: {where}",
            f"no predicate is left that is certainly false of {alone.name} ({alone.place})",
            "add rows that share no value with it, remove it, or name fewer columns in differ",
        )
    return [members[place] for place in found if place is not None]


def _check_display(display: Display, subjects: Sequence[Subject]) -> None:
    """Refuse displayed texts that name a subject of the splits."""
    for key, text in (("question", display.question), ("wrong", display.wrong), ("right", display.right)):
        for one in subjects:
            if re.search(rf"(?<!\w){re.escape(one.name)}(?!\w)", text):
                raise UserError(
                    f"task predicates: display.{key}",
                    f"it names {one.name}, a subject that directions are fitted or tested on",
                    f"set display.subject to {one.name}, which holds it out, or change the text",
                )


def _about(settings: Settings, subject: Subject, attribute: str, negated: bool) -> dict[str, Any]:
    question = filled(settings, settings.question, subject)
    return {"subject": subject.name, "attribute": attribute, "negated": negated, "question": question}


def _calibration(settings: Settings, subject: Subject) -> dict[str, Any]:
    attribute, template = next(iter(settings.statements.items()))
    about = _about(settings, subject, attribute, False)
    return {**about, "split": "calibration", "response": filled(settings, template, subject)}


def _displayed(display: Display) -> Iterator[dict[str, Any]]:
    shared = {"subject": display.subject, "attribute": "display", "negated": False, "question": display.question}
    for label, text in ((0, display.wrong), (1, display.right)):
        yield {**shared, "example_id": f"display-{'ft'[label]}", "split": "display", "response": text, "label": label}


def _article(found: re.Match[str]) -> str:
    return found[1] + ("n" if found[2].lower() in "aeiou" and found[2] else "")
