"""The forward pass with latents: one pass for the text before the first latent, and one more for each latent.

Gradients flow through all fills, and the result equals a full pass over each row alone. Training, scoring, generation
and extraction use it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.utils.checkpoint import checkpoint

from thoughtscope.errors import UserError
from thoughtscope.latents.fill import Fill
from thoughtscope.latents.packing import Batch, Pass
from thoughtscope.latents.passes import ModelOutput, States, run_passes


def forward(
    model: Any, batch: Batch, fill: Fill | None, layers: Iterable[int] = (), *, recompute: bool = False
) -> ModelOutput:
    """Run a causal language model over `batch`, feeding each latent a vector computed from the position before it.

    Args:
        model: a Transformers causal LM (with or without injected adapters).
        fill: computes the vectors; None if no latent depends on the model.
        layers: hidden-state layers to return.
        recompute: gradient checkpointing (arXiv 1604.06174): keep the inputs of layers and fills only, and compute the
            rest again in the backward pass. Values and gradients stay the same.

    Raises:
        UserError: the batch needs a fill and there is none, it is longer than the model's context, or the model has no
            such layer.
    """
    if fill is None and len(batch.passes) > 1 and any(len(one.latents) for one in batch.passes):
        raise UserError("batch", "it has latents that depend on the model, and no fill", "name the method's fill")
    layer = fill.settings.layer if fill else None
    vectors = fill.feed(model) if fill and fill.settings.sequential and len(batch.passes) > 1 else None

    def feed(embedded: Tensor, one: Pass, made: States) -> Tensor:
        if vectors is None or not one.span.start:
            return embedded
        # also where a later pass holds no latent: ranks that shard a model step together
        last, chosen = made.at(one.sources, layer)
        made_now = checkpoint(vectors, last, chosen, use_reentrant=False) if recompute else vectors(last, chosen)
        return embedded.index_copy(0, one.latents, made_now.to(embedded.dtype))

    return run_passes(model, batch, [*layers, *([] if layer is None else [layer])], feed, recompute)
