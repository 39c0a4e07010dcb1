"""The examples of each update, in a seeded order that is the same for all methods and numbers of ranks."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import lru_cache

from thoughtscope.errors import UserError
from thoughtscope.latents.packing import in_order_of_shape
from thoughtscope.methods.minibatch import Row
from thoughtscope.training.hyperparameters import Training


def global_batch(seed: int, update: int, size: int, examples: int) -> list[tuple[int, int]]:
    """Return (epoch, index of the example) for each example of the batch after `update` finished updates.

    Every epoch has its own permutation; a batch may contain the end of one and the start of the next.
    """
    places = range(update * size, (update + 1) * size)
    return [(place // examples, _permutation(seed, place // examples, examples)[place % examples]) for place in places]


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, examples: int) -> list[int]:
    order = list(range(examples))
    random.Random(f"{seed}:{epoch}").shuffle(order)
    return order


def accumulation_steps(training: Training, world: int) -> int:
    """Return the number of micro-batches of a rank in one update.

    Raises:
        UserError: the global batch cannot be split evenly.
    """
    micro = training.micro_batch_size or training.batch_size // world
    if micro < 1 or training.batch_size % (micro * world):
        raise UserError(
            "training.batch_size",
            f"{training.batch_size} examples do not split into micro-batches of {micro} on {world} ranks",
            "make it a multiple of micro_batch_size x ranks",
        )
    return training.batch_size // (micro * world)


def micro_batches(rows: Sequence[Row], steps: int, rank: int, world: int) -> Iterator[tuple[list[Row], int]]:
    """Split a global batch into this rank's micro-batches, each with the passes that all ranks agree on.

    Rows of similar shape are in the same micro-batch, so that passes are few. Every rank knows the layout of the whole
    batch, so ranks agree without communication.
    """
    ordered = [rows[i] for i in in_order_of_shape([row.sequence for row in rows])]
    size = len(ordered) // steps
    for step in range(steps):
        part = ordered[step * size : (step + 1) * size]
        yield part[rank::world], 1 + max(row.sequence.latents for row in part)
