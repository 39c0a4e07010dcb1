"""Decides which models a run keeps: those at given fractions of the way from its first latents to its end.

The end of a run that lasts until it is learned is unknown. It keeps models at a spacing that doubles whenever there are
four times as many as requested. At its end, it keeps those nearest to the fractions.
"""

from __future__ import annotations

from collections.abc import Sequence

from thoughtscope.training.curriculum import Curriculum

SPARE = 4  # largest number of models per requested one while the end is unknown


def due(fractions: Sequence[float], curriculum: Curriculum, first_spacing: int) -> bool:
    """Return whether the model after the last finished update is kept, at least for now.

    Args:
        fractions: of the way, each from 0 to 1.
        first_spacing: initial number of updates between kept models while the end is unknown.
    """
    progress, first = curriculum.progress, curriculum.first_latents
    if not curriculum.until_learned:
        return progress.step in _wanted(fractions, first, curriculum.updates)
    if curriculum.finished:
        return True
    progress.keep_every = progress.keep_every or first_spacing
    return (progress.step - first) % progress.keep_every == 0


def superfluous(fractions: Sequence[float], curriculum: Curriculum) -> list[int]:
    """Return the updates whose kept models are no longer needed."""
    progress, first = curriculum.progress, curriculum.first_latents
    if not curriculum.until_learned:
        return []
    if curriculum.finished:
        wanted = _wanted(fractions, first, progress.step)
        nearest = {min(progress.kept, key=lambda step: abs(step - target)) for target in wanted}
        return [step for step in progress.kept if step not in nearest]
    if len(progress.kept) <= SPARE * len(fractions):
        return []
    progress.keep_every *= 2
    return [step for step in progress.kept if (step - first) % progress.keep_every]


def _wanted(fractions: Sequence[float], first: int, end: int) -> list[int]:
    return [first + round(share * (end - first)) for share in fractions]
