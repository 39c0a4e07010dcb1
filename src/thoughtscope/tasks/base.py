"""The base of all tasks: a dataset of questions or of statements, described by a task file. Imports no torch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa

from thoughtscope import schemas
from thoughtscope.settings import Positive, Strict
from thoughtscope.tasks.answers import Judge
from thoughtscope.tasks.checks import Checks, QuestionChecks, StatementChecks
from thoughtscope.tasks.reasoning import Skipped


class Splits(Strict):
    """How many questions each split has."""

    train: Positive
    validation: Positive
    test: Positive


class BaseTask(Strict):
    """A task. `Settings` in `tasks/my_task.py`, derived from `QuestionTask` or `StatementTask`, is the kind `my-task`.

    The keys of a task file are the fields of `Settings`, which sets `kind: Literal["my-task"]`. All random draws come
    from a `random.Random` with a fixed seed, so that the same file always gives the same examples.

    Attributes:
        COLUMNS: the columns of an example.
        DEFAULTS: the value of each column that an example may leave out.
        SPLITS_MAY_OVERLAP: whether a question may be in several splits. If so, overlaps are counted and marked in the
            column `overlap`; otherwise they are an error.
    """

    COLUMNS: ClassVar[pa.Schema]
    DEFAULTS: ClassVar[Mapping[str, Any]] = {}
    SPLITS_MAY_OVERLAP: ClassVar[bool] = False

    kind: str

    @abstractmethod
    def examples(self) -> Iterable[dict[str, Any] | Skipped]:
        """Return the examples of all splits, and a `Skipped` for each row of the dataset that is left out.

        Raises:
            UserError: the dataset cannot be read, or the settings ask for examples that it does not have.
        """

    @abstractmethod
    def pretraining_texts(self) -> Iterable[dict[str, Any]] | None:
        """Return texts that a tiny backbone is pre-trained on, with keys `question` and `response`."""

    @abstractmethod
    def checks(self, where: str) -> Checks:
        """Return the checks that examples have to pass, with `where` in the messages."""

    def chance(self) -> float | None:
        """Return the accuracy of guessing, from 0 to 1; None if it is unknown."""
        return None


class QuestionTask(BaseTask):
    """Questions with reasoning steps and an answer, in the splits train, validation and test.

    Further test sets are splits whose names start with `test-`.
    """

    COLUMNS = schemas.REASONING
    DEFAULTS = {**Judge().columns, "step_values": [], "outcomes": [], "overlap": None}

    def pretraining_texts(self) -> Iterable[dict[str, Any]] | None:
        """Return texts for pre-training; None: the training questions with their steps and answers."""
        return None

    def checks(self, where: str) -> Checks:
        """Return checks of ids, answers and questions that occur in several splits."""
        return QuestionChecks(where, self.SPLITS_MAY_OVERLAP)


class StatementTask(BaseTask):
    """True and false statements about subjects, in the splits train, test and calibration.

    The split `display` has the statements that figures show token by token.
    """

    COLUMNS = schemas.STATEMENTS

    def checks(self, where: str) -> Checks:
        """Return checks of ids, labels and displayed subjects."""
        return StatementChecks(where)


def calibration_rows(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield texts without a truth value: each subject's question alone, and with a statement about another subject.

    Args:
        rows: true statements with the columns `schemas.STATEMENTS`, except `example_id` and `label`.
    """
    first = list({row["subject"]: row for row in rows if not row["negated"]}.values())
    for number, (row, other) in enumerate(zip(first, [*first[1:], *first[:1]], strict=True)):
        for kind, text in (("q", ""), ("u", other["response"])):
            yield {**row, "example_id": f"calibration-{number}{kind}", "response": text, "label": None}
