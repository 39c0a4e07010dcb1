"""Extracts answers from responses and gold texts, in canonical form, and compares them.

An answer follows a mark: `####`, `\\boxed{}`, or words that a task sets. After the mark, the first number, choice or
truth value counts. A gold text without a mark must have exactly one answer. Text that can be read in two ways is no
answer in a response, and an error in a gold text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from pydantic import Field

from thoughtscope.settings import Strict
from thoughtscope.tasks.numbers import LONGEST, numbers, plain, written
from thoughtscope.tasks.reasoning import ANSWER

AnswerFormat = Literal["text", "number", "choice", "boolean"]

BOXED = "\\boxed"
MARKS = (ANSWER, BOXED)
ANNOTATION = re.compile(r"<<[^<>]*>>")  # GSM8K's calculator
EQUATION = re.compile(  # a calculation up to the = before its result
    r"\s*[$(-]*\s*\d[\d.,]*[\s)]*[-+*/x×÷·][\d\s.,+*/x×÷·()$-]*\d[\s)]*=(?=\s*[$-]*\s*\d)"
)
WORDS = re.compile(
    r"\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|fifty|sixty"
    r"|seventy|eighty|ninety|half|halves|thirds?|quarters?|dozens?|twice|thrice|double|triple|squared|cubed)\b",
    re.IGNORECASE,
)
ACCOUNT = re.compile(r"\s*\(\s*[$€£¥]?\s*[\d.,]+\s*\)\s*")  # (20) means -20 in accounting, so it is ambiguous
LABEL = r"[A-Za-z]|[0-9]{1,2}"
MARKED_LABEL = re.compile(rf"\(\s*({LABEL})\s*\)|(?<![\w'.])({LABEL})\s*[).:](?!\w)")
LONE_LABEL = re.compile(r"(?<![\w'.-])([A-Z]|[0-9]{1,2})(?![\w'%-]|\.\w|\s*[/:]\s*\d)")
REASON = re.compile(r"\s*(?:[,;:.)\-]|\b(?:because|since|as|is|and|or)\b|\Z)", re.IGNORECASE)
TRUTH = re.compile(r"\b(yes|no|true|false)\b", re.IGNORECASE)
NEGATION = re.compile(r"(?:\b(?:can)?not|n't|\bnever|\bhardly)\s+(?:\w+\s+)?\Z", re.IGNORECASE)
TRUTHS = {"yes": True, "true": True, "y": True, "t": True, "1": True, "1.0": True} | {
    "no": False, "false": False, "n": False, "f": False, "0": False, "0.0": False,
}  # fmt: skip


class Tolerance(Strict):
    """The largest accepted difference of a predicted number to the gold number; the larger of the two counts."""

    absolute: float = Field(0.0, ge=0, description="largest difference")
    relative: float = Field(0.0, ge=0, description="largest difference as a share of the gold number")


class UnreadableError(ValueError):
    """A gold text without an answer, or with an ambiguous one."""


@dataclass(frozen=True)
class Judge:
    """Reads and compares the answers of a task.

    Attributes:
        form: the format of answers.
        absolute, relative: tolerances of numbers, see `Tolerance`.
        marks: marks that an answer follows. The first of them that occurs counts, at its last occurrence.
    """

    form: AnswerFormat = "text"
    absolute: float = 0.0
    relative: float = 0.0
    marks: tuple[str, ...] = MARKS

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Judge:
        """Return the judge that the columns of a row of `schemas.REASONING` describe; missing columns have defaults."""
        default = cls()
        return cls(
            form=row.get("answer_format", default.form),
            absolute=row.get("absolute_tolerance", default.absolute),
            relative=row.get("relative_tolerance", default.relative),
            marks=tuple(row.get("answer_marks", default.marks)),
        )

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of `schemas.REASONING` that describe the judge."""
        return {
            "answer_format": self.form,
            "absolute_tolerance": self.absolute,
            "relative_tolerance": self.relative,
            "answer_marks": list(self.marks),
        }

    def read(self, response: str) -> str | None:
        """Return the answer of a response in canonical form; None if there is no mark or no answer."""
        part = after_mark(response, self.marks)
        return None if part is None else READERS[self.form](part[:LONGEST])

    def correct(self, predicted: str | None, gold: str) -> bool:
        """Return whether a canonical answer equals the gold answer, or, as a number, is within the tolerance."""
        if predicted is None or predicted == gold or self.form != "number":
            return predicted == gold
        target = Fraction(gold)
        allowed = max(Fraction(repr(self.absolute)), Fraction(repr(self.relative)) * abs(target))
        return abs(Fraction(predicted) - target) <= allowed

    def gold(self, text: str) -> str:
        """Return the answer of a gold text in canonical form.

        Raises:
            UnreadableError: there is no answer, or it is ambiguous.
        """
        part = after_mark(text, self.marks)
        if self.form == "text":
            answer = _text(text if part is None else part)
        elif len(text if part is None else part) > LONGEST:
            raise UnreadableError(f"it is longer than {LONGEST} characters and has no answer mark")
        else:
            answer = GOLD[self.form](text if part is None else part, part is not None)
        if answer is None:
            raise UnreadableError(f"no {self.form} in it")
        if self.read(f"{ANSWER} {answer}") != answer:
            raise UnreadableError(f"{answer[:40]!r} after an answer mark is read as another answer")
        return answer


def after_mark(text: str, marks: tuple[str, ...] = MARKS) -> str | None:
    """Return the text after the last occurrence of the first of `marks` that occurs in `text`; None if none does."""
    for mark in marks:
        pattern = re.escape(mark) + (r"(?![a-z])" if mark == BOXED else "")
        ends = [found.end() for found in re.finditer(pattern, text, re.IGNORECASE)]
        if ends:
            after = text[ends[-1] :]
            if mark == ANSWER and (boxed := after_mark(after, (BOXED,))) is not None:
                return boxed
            return _braces(after) if mark == BOXED else after.lstrip(" :") if mark[-1].isalpha() else after.strip()
    return None


def _braces(text: str) -> str:
    """Return the content of the braces at the start of `text`; the whole text if they do not close."""
    depth = 0
    for found in re.finditer(r"[{}]", text[:LONGEST]):
        depth += 1 if found[0] == "{" else -1
        if depth <= 0:
            return text[text.find("{") + 1 : found.start()] if depth == 0 else text[: found.start()]
    return text


def _text(part: str) -> str | None:
    return " ".join(part.split()).rstrip(" .") or None


def _line(part: str) -> str | None:
    """Return the first line of a response's answer."""
    return _text(part.strip().partition("\n")[0])


def _prepared(part: str) -> str:
    text = plain(ANNOTATION.sub(" ", part))
    before = EQUATION.match(text)
    return text[before.end() :] if before else text


def _number(part: str) -> str | None:
    first = next(numbers(_prepared(part)), None)
    return None if first is None or first.value is None else written(first.value)


def _gold_number(part: str, marked: bool) -> str | None:
    text = _prepared(part)
    found = list(numbers(text))
    if not found:
        return None
    if found[0].value is None or ACCOUNT.fullmatch(text) or re.search(r"\d!", text):
        raise UnreadableError("the number in it is too long, or can be read in two ways")
    values = {one.value for one in (found[:2] if found[0].listed else found[:1] if marked else found)}
    if len(values) > 1:
        raise UnreadableError("it holds more than one number")
    if not marked and WORDS.search(text):
        raise UnreadableError("it holds a number in words beside one in digits")
    return written(found[0].value)


def _choice(part: str) -> str | None:
    labels = _labels(plain(part))
    return labels[0] if labels else None


def _labels(text: str) -> list[str]:
    """Return the choice labels in a text: letters or numbers that stand alone, or are marked as in `(b)`."""
    stripped = text.strip().strip("*").strip()
    if re.fullmatch(LABEL, stripped):
        return [stripped.upper()]
    found = {one.start(): (one[1] or one[2]).upper() for one in MARKED_LABEL.finditer(text)}
    for one in LONE_LABEL.finditer(text):
        first = not text[: one.start()].strip()
        article = one[1] == "A" and first and not REASON.match(text[one.end() :])
        if not article and not (one[1] == "I" and re.match(r"\s+\w", text[one.end() :])):
            found.setdefault(one.start(), one[1])
    return [found[place] for place in sorted(found)]


def _gold_choice(part: str, marked: bool) -> str | None:
    labels = _labels(plain(part))
    if len(set(labels)) > 1 and not marked:
        raise UnreadableError("it holds more than one label")
    return labels[0] if labels else None


def _boolean(part: str) -> str | None:
    if (whole := part.strip().rstrip(".").lower()) in TRUTHS:
        return _said(TRUTHS[whole])
    found = TRUTH.search(part)
    return _said(_truth(part, found)) if found else None


def _truth(text: str, found: re.Match[str]) -> bool:
    """Return a truth value, inverted if a negation precedes it."""
    return TRUTHS[found[1].lower()] != bool(NEGATION.search(text[max(0, found.start() - 30) : found.start()]))


def _said(value: bool) -> str:
    return "yes" if value else "no"


def _gold_boolean(part: str, marked: bool) -> str | None:
    if len({_truth(part, found) for found in TRUTH.finditer(part)}) > 1 and not marked:
        raise UnreadableError("it holds both truth values")
    return _boolean(part)


READERS = {"text": _line, "number": _number, "choice": _choice, "boolean": _boolean}
GOLD = {"number": _gold_number, "choice": _gold_choice, "boolean": _gold_boolean}
