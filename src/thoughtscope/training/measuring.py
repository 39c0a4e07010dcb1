"""With which layout a run's accuracy is measured, and what a stage changed.

Curves compare at one step only if all their points answer the same kind of prompt. So every measurement uses the layout
of the *last* stage, from update 0 on; before that stage the current stage's own layout is measured as well. Knows
nothing of optimisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from thoughtscope.methods.curriculum import Example, Stage
from thoughtscope.reasoner import Reasoner
from thoughtscope.schemas import CURRENT, LAST
from thoughtscope.statistics import paired_difference_interval


def layouts(
    reasoner: Reasoner, last: Stage, current: Stage, examples: Sequence[Example], latents_trained: bool
) -> dict[str, Stage]:
    """Return the stages to answer `examples` with, by `schemas.LAYOUTS`; one where both stages give the same prompts.

    Args:
        latents_trained: whether a stage with latents has begun. Before, a model that chooses its latents has none to
            choose (their token means nothing yet), so the last stage answers in text.
    """
    final, now = (_answering(stage, latents_trained) for stage in (last, current))
    return {LAST: final} if _alike(reasoner, final, now, examples) else {LAST: final, CURRENT: now}


def _answering(stage: Stage, latents_trained: bool) -> Stage:
    return replace(stage, chosen=False, fill=None) if stage.chosen and not latents_trained else stage


def _alike(reasoner: Reasoner, one: Stage, other: Stage, examples: Sequence[Example]) -> bool:
    """Return whether two stages answer every example alike: same prompts, same latents."""
    if (one.fill, one.chosen) != (other.fill, other.chosen):
        return False
    method = reasoner.method
    return all(
        method.module.prompt(method.settings, one, example, reasoner.ids)
        == method.module.prompt(method.settings, other, example, reasoner.ids)
        for example in examples
    )


def lost(name: str, right: Sequence[bool], before: Sequence[bool], confidence: float) -> str | None:
    """Return a warning if a stage ended worse than the one before it, by more than chance; else None.

    Args:
        name: of the stage.
        right, before: which questions were right at its end and at the end of the stage before, each answered with
            that stage's own layout.
    """
    if not before:
        return None
    _, high = paired_difference_interval([float(one) for one in right], [float(one) for one in before], confidence)
    if high >= 0:
        return None
    now, then = (sum(one) / len(one) for one in (right, before))
    return f"warning: stage {name!r} ended at accuracy {now:.3f}, the stage before at {then:.3f}"
