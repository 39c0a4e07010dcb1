"""Checks that the examples of a task have to pass, one example at a time, so that large datasets fit in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from thoughtscope.errors import UserError


class Checks(ABC):
    """Checks of all tasks: ids are unique and no split is empty.

    Args:
        where: the task, for messages.

    Attributes:
        REQUIRED_SPLITS: the splits that must not be empty.
    """

    REQUIRED_SPLITS: ClassVar[tuple[str, ...]]

    def __init__(self, where: str) -> None:
        self.where = where
        self.ids: set[int] = set()  # hashes: 8 bytes each, where texts would be several times as much
        self.splits: set[str] = set()

    def checked(self, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield all examples of a task, each after it was checked.

        Raises:
            UserError: an example breaks a rule, by itself or with an earlier one, or a required split is empty.
        """
        for row in rows:
            self._add(row)
            yield row
        self._finish()

    def _add(self, row: Mapping[str, Any]) -> None:
        example, key = f"{self.where}: example {row['example_id']}", hash(row["example_id"])
        if key in self.ids:
            raise UserError(example, "the id occurs twice", "make ids unique")
        self.ids.add(key)
        self.splits.add(row["split"])
        self._check(example, row)

    @abstractmethod
    def _check(self, example: str, row: Mapping[str, Any]) -> None:
        """Check one example; `example` names it in messages."""

    def _finish(self) -> None:
        """Check what only all examples together show."""
        for split in self.REQUIRED_SPLITS:
            if split not in self.splits:
                raise UserError(f"{self.where}: splits", f"split {split} is empty", "give it examples")


class QuestionChecks(Checks):
    """Every example has an answer, and, unless `may_overlap`, no question is in two splits."""

    REQUIRED_SPLITS = ("train", "validation", "test")

    def __init__(self, where: str, may_overlap: bool) -> None:
        super().__init__(where)
        self.may_overlap = may_overlap
        self.split_of: dict[int, str] = {}  # by the hash of the question

    def _check(self, example: str, row: Mapping[str, Any]) -> None:
        if not row["answer"].strip():
            raise UserError(example, "it has no answer", "complete or remove it")
        split = self.split_of.setdefault(hash(row["question"]), row["split"])
        if split != row["split"] and not self.may_overlap:
            problem = f"its question is in split {split} and in {row['split']}"
            raise UserError(example, problem, "remove it from one of them")


class StatementChecks(Checks):
    """Labels agree, displayed subjects are in no other split, and train and test have both truth values.

    Only statements without "not" count for the last rule, because only these train the probes.
    """

    REQUIRED_SPLITS = ("train", "test", "calibration")

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.labels: dict[int, int] = {}  # by the hash of question and response
        self.truths: set[tuple[str, int]] = set()  # the labels in each split
        self.displayed: set[str] = set()
        self.split_of: dict[str, str] = {}  # by subject, of other splits than `display`

    def _check(self, example: str, row: Mapping[str, Any]) -> None:
        if row["label"] is not None:
            if self.labels.setdefault(hash((row["question"], row["response"])), row["label"]) != row["label"]:
                raise UserError(example, "the same statement is labelled true and false", "correct one of the two")
            if not row["negated"]:
                self.truths.add((row["split"], row["label"]))
        if row["split"] == "display":
            self.displayed.add(row["subject"])
        else:
            self.split_of[row["subject"]] = row["split"]
        for subject in self.displayed & self.split_of.keys():
            problem = f"its displayed subject {subject} is in split {self.split_of[subject]}"
            raise UserError(self.where, problem, "display another one, or leave this one out of the splits")

    def _finish(self) -> None:
        super()._finish()
        for split in ("train", "test"):
            if not {(split, 0), (split, 1)} <= self.truths:
                problem = f"split {split} does not have both true and false plain statements"
                raise UserError(f"{self.where}: splits", problem, "give it both")
