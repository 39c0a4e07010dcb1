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

from thoughtscope.errors import UserError
from thoughtscope.latents.attention import PackedCache, Packing, attention_mask, attention_windows, packed_attention
from thoughtscope.latents.fill import Fill
from thoughtscope.latents.packing import Batch, Pass


@dataclass(frozen=True)
class Trace:
    """What a forward computed, by token of its batch.

    Attributes:
        inputs: ``[tokens, d]``, the vectors that were fed.
        last: ``[tokens, d]``, hidden states after the final norm.
        layers: the hidden states asked for, ``[tokens, d]`` each; 0 is the embedding output.
        cache: keys and values of all tokens, for going on.
    """

    inputs: Tensor
    last: Tensor
    layers: dict[int, Tensor]
    cache: PackedCache


def segmented_forward(model: Any, batch: Batch, fill: Fill | None, layers: Iterable[int] = ()) -> Trace:
    """Run a causal language model over `batch`, filling its latents one after another.

    Args:
        model: a Transformers causal LM (with or without injected adapters).
        fill: what is fed at latents; None if no latent depends on the model.
        layers: hidden-state layers to return.

    Raises:
        UserError: the batch needs a fill and there is none, or it is longer than the model's context.
    """
    decoder = model.get_decoder()
    _check(batch, fill, decoder.config)
    windows = attention_windows(decoder.config)
    embedded = model.get_input_embeddings()(batch.token_ids)
    source = fill.settings.layer if fill else None
    wanted = sorted({*layers, *([] if source is None else [source])})
    vector = fill.bind(model) if fill and len(batch.passes) > 1 else None
    cache = PackedCache()
    made = _States(wanted)
    with packed_attention(decoder) as attention:
        for one in batch.passes:
            fed = embedded[one.span]
            if vector is not None and one.span.start:  # also for no latents: ranks that shard a model step together
                last, chosen = made.at(one.sources, source)
                fed = fed.index_copy(0, one.latents, vector(last, chosen).to(fed.dtype))
            cache.current = one
            out = decoder(
                inputs_embeds=fed[None],
                attention_mask=_mask(windows, one, fed.dtype),
                position_ids=batch.positions[None, one.span],
                past_key_values=cache,
                use_cache=True,
                output_hidden_states=bool(wanted),
                packing=Packing(one, attention),
            )
            made.add(fed, out)
    return made.trace(cache)


class _States:
    """What the passes made so far: the vectors fed, the last states, and those of the layers wanted."""

    def __init__(self, wanted: list[int]) -> None:
        self.fed: list[Tensor] = []
        self.last: list[Tensor] = []
        self.layers: dict[int, list[Tensor]] = {layer: [] for layer in wanted}

    def add(self, fed: Tensor, out: Any) -> None:
        self.fed.append(fed)
        self.last.append(out.last_hidden_state[0])
        for layer, states in self.layers.items():
            states.append(out.hidden_states[layer][0])

    def at(self, tokens: Tensor, layer: int | None) -> tuple[Tensor, Tensor]:
        """Return the states at `tokens` that a fill may use: after the final norm, and of the chosen layer."""
        last = _pick(self.last, tokens)
        return last, last if layer is None else _pick(self.layers[layer], tokens)

    def trace(self, cache: PackedCache) -> Trace:
        layers = {layer: torch.cat(states) for layer, states in self.layers.items()}
        return Trace(torch.cat(self.fed), torch.cat(self.last), layers, cache)


def _pick(pieces: list[Tensor], tokens: Tensor) -> Tensor:
    return torch.cat(pieces).index_select(0, tokens)


def _mask(windows: dict[str, int | None], one: Pass, dtype: torch.dtype) -> Tensor | dict[str, Tensor]:
    keys = torch.arange(one.keys.shape[1], device=one.keys.device)
    return attention_mask(windows, one.positions, keys[None], dtype)


def _check(batch: Batch, fill: Fill | None, config: Any) -> None:
    if len(batch.passes) > 1 and fill is None and any(len(one.latents) for one in batch.passes):
        raise UserError("batch", "it has latents that depend on the model, and no fill", "name the method's fill")
    longest, context = int(batch.index.shape[1]), config.max_position_embeddings
    if longest > context:
        raise UserError(
            f"model {config.model_type}", f"a sequence of {longest} positions exceeds its context of {context}",
            "shorten the examples or lower the number of latents",
        )  # fmt: skip
