"""Loss and probabilities of labelled tokens; the head runs on labelled positions only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from thoughtscope.errors import UserError
from thoughtscope.latents.fill import Fill
from thoughtscope.latents.forward import forward
from thoughtscope.latents.head import logits
from thoughtscope.latents.layout import IGNORE, TokenSequence, sequence
from thoughtscope.latents.packing import Batch, in_order_of_shape, pack
from thoughtscope.latents.passes import ModelOutput


def loss_sum(model: Any, output: ModelOutput, batch: Batch) -> Tensor:
    """Return the cross-entropy summed over the labelled tokens of `batch`: a scalar ``[]`` in nats, float32 or wider.

    Args:
        output: of the forward over `batch`.

    Raises:
        UserError: a row has no label, or the output belongs to another batch.
    """
    if batch.unlabelled is not None:
        raise UserError(f"sequence {batch.unlabelled}", "it has no labelled token", "leave it out of training")
    scores, targets = _labelled(model, output, batch)
    wide = scores if scores.dtype == torch.float64 else scores.float()
    return F.cross_entropy(wide, targets, reduction="sum")


@torch.no_grad()
def label_probabilities(
    model: Any,
    sequences: Sequence[TokenSequence],
    fill: Fill | None,
    batch_size: int,
    any_rank: Callable[[bool], bool] = bool,
) -> list[list[float]]:
    """Return, for each sequence, the probability of each of its labelled tokens given everything before it.

    Args:
        any_rank: whether any rank still has a batch (ranks that shard a model step together).
    """

    def gold(scores: Tensor, targets: Tensor) -> Tensor:
        return scores.float().softmax(-1).gather(1, targets[:, None]).squeeze(1)

    return _by_label(model, sequences, fill, batch_size, any_rank, gold)


@torch.no_grad()
def greedy_agrees(model: Any, sequences: Sequence[TokenSequence], fill: Fill | None, batch_size: int) -> list[bool]:
    """Return, for each sequence, whether greedy decoding reproduces its labelled tokens exactly.

    This is so if each label is the most probable token given the labels before it, so one forward pass suffices.
    """

    def first(scores: Tensor, targets: Tensor) -> Tensor:
        return (scores.argmax(-1) == targets).float()

    return [all(found) for found in _by_label(model, sequences, fill, batch_size, bool, first)]


def _by_label(
    model: Any,
    sequences: Sequence[TokenSequence],
    fill: Fill | None,
    batch_size: int,
    any_rank: Callable[[bool], bool],
    measure: Callable[[Tensor, Tensor], Tensor],
) -> list[list[float]]:
    """Return for each sequence the `measure` of its scores ``[labels, vocabulary]`` and targets ``[labels]``."""
    found: list[list[float]] = [[] for _ in sequences]
    order = in_order_of_shape(sequences)
    padding = sequence("padding", [0], [0])
    start = 0
    while any_rank(start < len(order)):
        chosen = order[start : start + batch_size]
        start += batch_size
        rows = [sequences[i] for i in chosen] or [padding]
        batch = pack(rows, fill.settings if fill else None, for_labels=True, device=model.device)
        values = measure(*_labelled(model, forward(model, batch, fill), batch)).tolist()
        labelled = (batch.targets != IGNORE).nonzero()[:, 0].tolist()
        by_token = dict(zip(labelled, values, strict=True))
        for i, row in zip(chosen, batch.index.tolist(), strict=bool(chosen)):
            found[i] = [by_token[token] for token in row if token in by_token]
    return found


def _labelled(model: Any, output: ModelOutput, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return scores ``[labels, vocabulary]`` and targets ``[labels]``."""
    if len(output.last) != len(batch.targets):
        raise UserError("batch", "its layout is not the one that was computed", "pass the batch of this forward")
    labelled = (batch.targets != IGNORE).nonzero()[:, 0]
    return logits(model, output.last.index_select(0, labelled)), batch.targets.index_select(0, labelled)
