"""How long stages last and how fast each update learns: plain numbers, no model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from thoughtscope.errors import UserError
from thoughtscope.methods.curriculum import Stage
from thoughtscope.training.hyperparameters import Optimizer


@dataclass(frozen=True)
class Realised:
    """A stage as it happened: the updates after ``first_step``, up to ``last_step``.

    Attributes:
        learned: whether it ended because validation questions were right often enough.
        latents: whether it has latents.
        accuracy: on the test questions at its end, answered with its own layout.
    """

    name: str
    first_step: int
    last_step: int
    learned: bool
    latents: bool
    accuracy: float

    def as_json(self) -> dict[str, Any]:
        """Return it for `schedule.json`."""
        return asdict(self)


def stage_lengths(stages: Sequence[Stage], updates: int, yoke: Sequence[dict[str, Any]] | None) -> list[int]:
    """Return the most updates that each stage may last; together never more than `updates`.

    Args:
        yoke: the realised stages of the run to follow (of its `schedule.json`), or None.

    Raises:
        UserError: a stage would get no update, or the followed run has other stages.
    """
    if yoke is not None and len(stages) > 1:
        if len(yoke) != len(stages):
            raise UserError("yoked_to", f"{len(yoke)} stages there, {len(stages)} here", "follow a like curriculum")
        return [stage["last_step"] - stage["first_step"] for stage in yoke]
    ends = [round(updates * sum(stage.share for stage in stages[: i + 1])) for i in range(len(stages))]
    lengths = [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    for stage, length in zip(stages, lengths, strict=True):
        if length < 1:
            raise UserError(
                f"stage {stage.name!r}", f"{updates} updates leave it none", "raise training.updates or its share"
            )
    return lengths


def learning_rate(settings: Optimizer, update: int, updates: int, since_switch: int | None) -> float:
    """Return the learning rate of the update that follows `update` finished ones.

    Args:
        updates: of the whole run.
        since_switch: updates since the last change of stage; None in the first stage.
    """
    warmup = round(settings.warmup * updates)
    factor = min(1.0, (update + 1) / warmup) if warmup else 1.0
    left = max(0.0, 1 - max(0, update - warmup) / max(1, updates - warmup))
    if settings.schedule == "linear":
        factor *= left
    elif settings.schedule == "cosine":
        factor *= 0.5 * (1 + math.cos(math.pi * (1 - left)))
    elif settings.schedule == "wsd":
        factor *= min(1.0, left / settings.decay) if settings.decay else 1.0
    if settings.at_stage_switch == "rewarm" and since_switch is not None and settings.warmup_updates_at_switch:
        factor *= min(1.0, (since_switch + 1) / settings.warmup_updates_at_switch)
    return settings.learning_rate * factor
