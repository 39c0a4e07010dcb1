"""The data of a stage: every training example laid out, with latents where the stage has them.

A stage that inserts latents where the model is unsure scores the trained responses, split over the ranks, before its
first update.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from thoughtscope.artifacts import artifact_folder, damaged
from thoughtscope.errors import UserError
from thoughtscope.latents.layout import TokenSequence, sequence
from thoughtscope.latents.scoring import label_probabilities
from thoughtscope.methods.curriculum import Example, Stage, example_rng
from thoughtscope.methods.minibatch import Row
from thoughtscope.reasoner import Reasoner
from thoughtscope.training.ranks import Ranks

VALUES, ENDS = "values.npy", "ends.npy"
AT_ONCE = 64  # batches of examples that are scored and gathered at once


class Probabilities:
    """The probability of each response token of each example, in an array file that is memory-mapped.

    Args:
        folder: as `score` wrote it.

    Raises:
        UserError: it is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        if damaged(folder):
            raise UserError(str(folder), "it is damaged", f"delete {folder.parent} to start the run again")
        self._values, self._ends = np.load(folder / VALUES, mmap_mode="r"), np.load(folder / ENDS)

    def __getitem__(self, index: int) -> list[float]:
        values: list[float] = self._values[self._ends[index] : self._ends[index + 1]].tolist()
        return values


def score(model: Any, examples: Sequence[Example], ranks: Ranks, batch_size: int, folder: Path) -> None:
    """Write the probability of each response token of each example under the current model, teacher-forced.

    The ranks share the work, some thousand examples at a time; the first one writes. All of them must call it.
    """
    scored: list[npt.NDArray[np.float32]] = []
    for start in range(0, len(examples), AT_ONCE * batch_size):
        mine = ranks.share(range(start, min(start + AT_ONCE * batch_size, len(examples))))
        rows = [sequence(one.example_id, one.prompt, one.response) for one in (examples[i] for i in mine)]
        found = ranks.join(label_probabilities(model, rows, None, batch_size, ranks.any_rank))
        scored += [np.array(one, np.float32) for one in found] if ranks.first else []
    if ranks.first:
        with artifact_folder(folder, {}) as staging:
            np.save(staging / VALUES, np.concatenate(scored))
            np.save(staging / ENDS, np.cumsum([0, *map(len, scored)]))
    ranks.wait()


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
        counts: the latents of training examples.
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
