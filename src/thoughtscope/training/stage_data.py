"""The data of a stage: every training example laid out, with latents where the stage has them.

A stage that inserts latents where the model is unsure scores the trained responses, split over the ranks, before its
first update.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from thoughtscope.errors import UserError
from thoughtscope.latents.layout import TokenSequence, sequence
from thoughtscope.latents.scoring import label_probabilities
from thoughtscope.methods.curriculum import Example, Stage, example_rng
from thoughtscope.methods.minibatch import Row
from thoughtscope.reasoner import Reasoner
from thoughtscope.training.ranks import Ranks


def response_probabilities(model: Any, examples: Sequence[Example], ranks: Ranks, batch_size: int) -> list[list[float]]:
    """Return the probability of each response token of each example under the current model, teacher-forced."""
    mine = [sequence(one.example_id, one.prompt, one.response) for one in ranks.share(examples)]
    return ranks.join(label_probabilities(model, mine, None, batch_size, ranks.any_rank))


def lay_out(
    reasoner: Reasoner, example: Example, seed: int, epoch: int, probabilities: list[float] | None
) -> TokenSequence:
    """Lay out an example as the reasoner's stage trains it, with the example's own random numbers of this epoch.

    Args:
        probabilities: of each response token; None unless the stage is scored.
    """
    rng = example_rng(seed, reasoner.stage.index, epoch, example.example_id)
    return reasoner.layout(example, rng, probabilities)


def lay_out_row(reasoner: Reasoner, example: Example, seed: int, epoch: int, probabilities: list[float] | None) -> Row:
    """Lay out an example as `lay_out` does, with the companions that the method's loss reads."""
    companions = reasoner.method.companions(reasoner.stage, example, reasoner.ids)
    return Row(example, lay_out(reasoner, example, seed, epoch, probabilities), companions)


def check_latents(stage: Stage, counts: Sequence[int], limit: int) -> None:
    """Refuse a stage that needs latents and has too few, or more than a response may have when it is measured.

    Args:
        counts: the latents of each training example.
        limit: latents that a response may have where the model chooses them.

    Raises:
        UserError: the mean number of latents is below the stage's minimum, or an example has more than `limit`.
    """
    mean, minimum = sum(counts) / len(counts), stage.min_latents
    if mean < minimum or mean == 0:
        raise UserError(
            f"stage {stage.name!r}",
            f"it inserts {mean:.3f} latents a response, fewer than its minimum of {minimum or 'any'}",
            "raise tau, take a quantile, shorten the stage before, or lower min_latents",
        )
    if stage.chosen and max(counts) > limit:
        raise UserError(
            f"stage {stage.name!r}",
            f"a training example has {max(counts)} latents, a response may have {limit}",
            "raise evaluation.max_latents, or lower the method's cap",
        )
