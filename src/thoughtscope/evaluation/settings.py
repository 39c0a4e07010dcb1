"""Settings that tables and figures share: the level of intervals, and from where on a seed solves its task."""

from __future__ import annotations

from pydantic import Field

from thoughtscope.settings import Probability, Strict


class Intervals(Strict):
    """The level of every interval."""

    confidence: Probability = Field(0.95, description="level of every interval; default: evaluation.confidence")


class Solving(Intervals):
    """How seeds that solve their task are counted."""

    solved_at: Probability | None = Field(
        0.95,
        description="final accuracy from which a seed solves its task; null: runs do not either solve it or fail; "
        "default: evaluation.solved_at",
    )
