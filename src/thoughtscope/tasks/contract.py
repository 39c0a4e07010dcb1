"""What a kind of task offers: the names and arguments of a module of this package.

A module `tasks/my_kind.py` that has all of these is the kind `my-kind` of a task file; no list is extended.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Protocol

from thoughtscope.settings import Strict
from thoughtscope.tasks.reasoning import Skipped

AFFECTS_RESULTS = False


class Contract(Protocol):
    """A module that is a kind of task: plain Python and seeded `random.Random`, no torch.

    More names are optional, for reasoning:

    - ``pretraining(settings)`` yields texts that a tiny backbone learns before any method, with keys question and
      response. By default they are the training examples with their steps. Of statements it is needed.
    - With ``OVERLAP = "counted"`` splits may share questions, which are counted and marked; otherwise a question in two
      splits is refused.
    - ``chance(settings)`` returns the accuracy of a guess.

    Attributes:
        Settings: the keys of a task file.
        CONTRACT: which columns its examples have: those of `schemas.REASONING` or `tables.STATEMENTS`.
    """

    Settings: type[Strict]
    CONTRACT: Literal["reasoning", "statements"]

    def examples(self, settings: Any) -> Iterable[dict[str, Any] | Skipped]:
        """Return all examples of all splits; `reasoning.Skipped` for each row that is left out.

        Splits are train, validation and test, and further test sets whose names start with test; of statements train,
        test and calibration. Ids are unique.
        """
