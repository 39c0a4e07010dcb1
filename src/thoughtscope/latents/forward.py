"""The segmented forward: one pass for the text before the first latent, one more for each latent.

The cache carries what was computed, gradients flow through it and through every fill, and the result
equals a full pass over each row alone. Training, scoring, generation and extraction all come here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from thoughtscope.errors import UserError
from thoughtscope.latents.attention import attention_mask, attention_windows
from thoughtscope.latents.columns import Batch
from thoughtscope.latents.fill import Fill


@dataclass(frozen=True)
class Trace:
    """What a forward computed, by column.

    Attributes:
        inputs: ``[batch, columns, d]``, the vectors that were fed.
        last: ``[batch, columns, d]``, hidden states after the final norm.
        layers: the hidden states asked for, ``[batch, columns, d]`` each; 0 is the embedding output.
        cache: keys and values of all columns, for going on.
    """

    inputs: Tensor
    last: Tensor
    layers: dict[int, Tensor]
    cache: DynamicCache


def segmented_forward(model: Any, batch: Batch, fill: Fill | None, layers: Iterable[int] = ()) -> Trace:
    """Run a causal language model over `batch`, filling its latents one after another.

    Args:
        model: a Transformers causal LM (with or without injected adapters).
        fill: what is fed at latents; None if the batch has a single pass.
        layers: hidden-state layers to return.

    Raises:
        UserError: the batch needs a fill and there is none, or it is longer than the model's context.
    """
    config, decoder = model.config.get_text_config(), model.get_decoder()
    _check(batch, fill, config)
    windows = attention_windows(config)
    embedded = model.get_input_embeddings()(batch.token_ids)
    source_layer = fill.settings.layer if fill else None
    wanted = sorted({*layers, *([] if source_layer is None else [source_layer])})
    vector = fill.bind(model) if fill and len(batch.passes) > 1 else None
    cache = DynamicCache()
    steps: list[_Pass] = []
    for k, span in enumerate(batch.passes):
        fed = embedded[:, span]
        if k > 0 and vector is not None:
            source = batch.sources[k] - batch.passes[k - 1].start
            latent = vector(*(_at(states, source) for states in steps[-1].sources(source_layer)))
            first = torch.where(batch.valid[:, span.start, None], latent.to(fed.dtype), fed[:, 0])
            fed = torch.cat([first[:, None], fed[:, 1:]], dim=1)
        steps.append(_run_pass(decoder, fed, batch, span, windows, cache, wanted))
    return Trace(
        inputs=torch.cat([step.fed for step in steps], dim=1),
        last=torch.cat([step.last for step in steps], dim=1),
        layers={layer: torch.cat([step.layers[layer] for step in steps], dim=1) for layer in wanted},
        cache=cache,
    )


@dataclass(frozen=True)
class _Pass:
    fed: Tensor
    last: Tensor
    layers: dict[int, Tensor]

    def sources(self, layer: int | None) -> tuple[Tensor, Tensor]:
        """Return the states a fill may use: after the final norm, and of the chosen layer."""
        return self.last, self.last if layer is None else self.layers[layer]


def _run_pass(
    decoder: Any,
    fed: Tensor,
    batch: Batch,
    span: slice,
    windows: dict[str, int | None],
    cache: DynamicCache,
    wanted: list[int],
) -> _Pass:
    positions, seen = batch.positions[:, span], slice(0, span.stop)
    mask = attention_mask(windows, positions, batch.positions[:, seen], batch.valid[:, seen], fed.dtype)
    out = decoder(
        inputs_embeds=fed,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        output_hidden_states=bool(wanted),
    )
    return _Pass(fed, out.last_hidden_state, {layer: out.hidden_states[layer] for layer in wanted})


def _at(states: Tensor, column: Tensor) -> Tensor:
    """Pick ``[batch, d]`` from ``[batch, columns, d]``, one column a row."""
    return states[torch.arange(len(states), device=states.device), column.clamp(min=0)]


def _check(batch: Batch, fill: Fill | None, config: Any) -> None:
    if len(batch.passes) > 1 and fill is None:
        raise UserError("batch", "it has latents that depend on the model, and no fill", "name the method's fill")
    longest, context = int(batch.columns.shape[1]), config.max_position_embeddings
    if longest > context:
        raise UserError(
            f"model {config.model_type}", f"a sequence of {longest} positions exceeds its context of {context}",
            "shorten the examples or lower the number of latents",
        )  # fmt: skip
