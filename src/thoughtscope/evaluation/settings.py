"""Settings that tables and figures share: the confidence level, and the accuracy from which a seed solves its task."""

from __future__ import annotations

from pydantic import Field

from thoughtscope.settings import Probability, Strict


class Intervals(Strict):
    """The confidence level of every interval."""

    confidence: Probability = Field(
        0.95, description="confidence level of every interval; default: evaluation.confidence"
    )


class Solving(Intervals):
    """From which accuracy on a seed counts as solving its task."""

    solved_at: Probability | None = Field(
        0.95,
        description="final accuracy from which a seed solves its task; null: runs do not either solve it or fail; "
        "default: evaluation.solved_at",
    )
