"""The segmented forward: one pass for the text before the first latent, one more for each latent.

Gradients flow through every fill, and the result equals a full pass over each row alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from thoughtscope.latents.packing import Batch, Pass
from thoughtscope.latents.passes import States, Trace, run_passes

if TYPE_CHECKING:
    from thoughtscope.latents.fill import Fill


def segmented_forward(model: Any, batch: Batch, fill: Fill, layers: Iterable[int] = ()) -> Trace:
    """Run a causal language model over `batch`, feeding each latent what its fill makes of the position before it.

    Raises:
        UserError: the batch is longer than the model's context.
    """
    source = fill.settings.layer
    vector = fill.bind(model) if len(batch.passes) > 1 else None

    def feed(embedded: Tensor, one: Pass, made: States) -> Tensor:
        if vector is None or not one.span.start:
            return embedded
        # also where a later pass holds no latent: ranks that shard a model step together
        last, chosen = made.at(one.sources, source)
        return embedded.index_copy(0, one.latents, vector(last, chosen).to(embedded.dtype))

    return run_passes(model, batch, [*layers, *([] if source is None else [source])], feed)
