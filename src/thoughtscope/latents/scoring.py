"""Loss and probabilities of labelled tokens; the head runs on labelled positions only."""

from __future__ import annotations

from collections.abc import Sequence as Rows
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from thoughtscope.latents.columns import Batch, align, in_order_of_shape
from thoughtscope.latents.fill import Fill, logits
from thoughtscope.latents.forward import Trace, segmented_forward
from thoughtscope.latents.layout import IGNORE, Sequence


def loss_sum(model: Any, trace: Trace, batch: Batch) -> Tensor:
    """Return the cross-entropy summed over the labelled tokens of `batch` (a scalar, in nats, float32 or wider)."""
    labelled = batch.targets != IGNORE
    scores = logits(model, trace.last[labelled])
    wide = scores if scores.dtype == torch.float64 else scores.float()
    return F.cross_entropy(wide, batch.targets[labelled], reduction="sum")


@torch.no_grad()
def label_probabilities(
    model: Any, sequences: Rows[Sequence], fill: Fill | None, pad_id: int, batch_size: int
) -> list[list[float]]:
    """Return, for each sequence, the probability of each of its labelled tokens given everything before it."""
    found: list[list[float]] = [[] for _ in sequences]
    order = in_order_of_shape(sequences)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        sequential = fill is not None and fill.settings.sequential
        batch = align([sequences[i] for i in chosen], pad_id, sequential=sequential, device=model.device)
        trace = segmented_forward(model, batch, fill)
        labelled = batch.targets != IGNORE
        scores = logits(model, trace.last[labelled]).float().softmax(-1)
        gold = scores.gather(1, batch.targets[labelled][:, None]).squeeze(1).tolist()
        rows = labelled.nonzero()[:, 0].tolist()
        for row, value in zip(rows, gold, strict=True):
            found[chosen[row]].append(value)
    return found
