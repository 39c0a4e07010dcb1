"""The forward over packed tokens, pass by pass. Text needs one pass; latents come in through their fill.

The cache carries what was computed and gradients flow through it. Training, scoring, generation and extraction all
come here; what only latents need stands in `forward` and `fill`, which a run without latents never loads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from thoughtscope.errors import UserError
from thoughtscope.latents.attention import (
    PackedCache,
    attention_mask,
    attention_windows,
    packed_attention,
)
from thoughtscope.latents.decoder import context_length, decoder_of, layer_states
from thoughtscope.latents.packing import Batch, Pass

if TYPE_CHECKING:
    from thoughtscope.latents.fill import Fill


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


def forward(model: Any, batch: Batch, fill: Fill | None, layers: Iterable[int] = ()) -> Trace:
    """Run a causal language model over `batch`, filling its latents one after another.

    Args:
        model: a Transformers causal LM (with or without injected adapters).
        fill: what is fed at latents; None if no latent depends on the model.
        layers: hidden-state layers to return.

    Raises:
        UserError: the batch needs a fill and there is none, or it is longer than the model's context.
    """
    if fill is not None:
        return fill.run(model, batch, layers)
    if len(batch.passes) > 1 and any(len(one.latents) for one in batch.passes):
        raise UserError("batch", "it has latents that depend on the model, and no fill", "name the method's fill")
    return run_passes(model, batch, layers, lambda embedded, one, made: embedded)


def run_passes(
    model: Any, batch: Batch, layers: Iterable[int], feed: Callable[[Tensor, Pass, States], Tensor]
) -> Trace:
    """Run every pass of `batch`.

    Args:
        feed: turns a pass's embeddings ``[tokens of the pass, d]`` into what is fed, knowing the states made so far.

    Raises:
        UserError: the batch is longer than the model's context, or the model has no such layer.
    """
    decoder, wanted = decoder_of(model), sorted(set(layers))
    _check(batch, wanted, decoder.config)
    windows = attention_windows(decoder.config)
    embedded = model.get_input_embeddings()(batch.token_ids)
    made, cache = States(wanted), PackedCache()
    for one in batch.passes:
        fed = feed(embedded[one.span], one, made)
        cache.begin(one)
        with packed_attention(decoder, cache):
            out = decoder(
                inputs_embeds=fed[None],
                attention_mask=_mask(windows, one, fed.dtype),
                position_ids=batch.positions[None, one.span],
                past_key_values=cache,
                use_cache=True,
                output_hidden_states=bool(made.layers),
            )
        made.add(fed, out)
    return made.trace(cache)


class States:
    """What the passes made so far: the vectors fed, the last states, and those of the layers wanted."""

    def __init__(self, wanted: list[int]) -> None:
        self.fed: list[Tensor] = []
        self.last: list[Tensor] = []
        self.layers: dict[int, list[Tensor]] = {layer: [] for layer in wanted}

    def add(self, fed: Tensor, out: Any) -> None:
        self.fed.append(fed)
        self.last.append(out.last_hidden_state[0])
        for layer, states in self.layers.items():
            states.append(layer_states(out, layer)[0])

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


def _check(batch: Batch, layers: list[int], config: Any) -> None:
    depth = config.num_hidden_layers
    for layer in layers:
        if not 0 <= layer <= depth:
            raise UserError(f"model {config.model_type}", f"it has no layer {layer}", f"name layers from 0 to {depth}")
    longest, context = int(batch.index.shape[1]), context_length(config)
    if context is not None and longest > context:
        raise UserError(
            f"model {config.model_type}", f"a sequence of {longest} positions exceeds its context of {context}",
            "shorten the examples or lower the number of latents",
        )  # fmt: skip
