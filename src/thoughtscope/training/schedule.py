"""The learning rate of each update."""

from __future__ import annotations

import math

from thoughtscope.training.hyperparameters import Optimizer


def learning_rate(
    settings: Optimizer, update: int, updates: int, since_switch: int | None, decay: tuple[int, int] | None = None
) -> float:
    """Return the learning rate of the update that follows `update` finished ones.

    Args:
        updates: of the whole run, at most.
        decay: (first update, number of updates) of the decay of a `wsd` rate to 0; None: from `settings.decay`.
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
        factor *= _held(update, *decay) if decay else min(1.0, left / settings.decay) if settings.decay else 1.0
    if settings.at_stage_switch == "rewarm" and since_switch is not None and settings.warmup_updates_at_switch:
        factor *= min(1.0, (since_switch + 1) / settings.warmup_updates_at_switch)
    return settings.learning_rate * factor


def _held(update: int, start: int, length: int) -> float:
    """Return a factor that is 1 up to `start` and then falls linearly to 0 over `length` updates."""
    return min(1.0, max(0.0, 1 - (update - start) / length)) if length else 1.0
