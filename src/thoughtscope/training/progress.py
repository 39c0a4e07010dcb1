"""How far a run has come: plain values that are saved with its state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Progress:
    """Where a run is.

    Attributes:
        measured: update of the newest measurement.
        right: which test questions were right there, with the current stage's layout.
        right_before: the same at the end of the stage before.
    """

    step: int = 0
    stage: int = 0
    stage_start: int = 0
    learned: bool = False
    positions: int = 0
    labelled_tokens: int = 0
    optimizer_steps: int = 0
    measured: int = -1
    right: list[bool] = field(default_factory=list)
    right_before: list[bool] = field(default_factory=list)
    realised: list[dict[str, Any]] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    weights: str = ""
