"""Runs a model over packed tokens, pass by pass, with a cache through which gradients flow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from thoughtscope.errors import UserError
from thoughtscope.latents.attention import (
    PackedCache,
    attention_mask,
    attention_windows,
    packed_attention,
    recomputed,
)
from thoughtscope.latents.decoder import context_length, decoder_of, layer_states
from thoughtscope.latents.packing import Batch, Pass


@dataclass(frozen=True)
class ModelOutput:
    """The output of a forward pass, by token of its batch.

    Attributes:
        inputs: ``[tokens, d]``, the vectors that were fed.
        last: ``[tokens, d]``, hidden states after the final norm.
        layers: the requested hidden states, ``[tokens, d]`` each; 0 is the embedding output.
        cache: keys and values of all tokens.
    """

    inputs: Tensor
    last: Tensor
    layers: dict[int, Tensor]
    cache: PackedCache


def run_passes(
    model: Any,
    batch: Batch,
    layers: Iterable[int],
    feed: Callable[[Tensor, Pass, States], Tensor],
    recompute: bool = False,
) -> ModelOutput:
    """Run every pass of `batch`.

    Args:
        feed: maps the embeddings ``[tokens, d]`` of a pass, and the states so far, to the vectors that are fed.
        recompute: keep the inputs of layers only, and compute the rest again in the backward pass.

    Raises:
        UserError: the batch is longer than the model's context, or the model has no such layer.
    """
    decoder, wanted = decoder_of(model), sorted(set(layers))
    _check(batch, wanted, decoder.config)
    windows = attention_windows(decoder.config)
    embedded = model.get_input_embeddings()(batch.token_ids)
    made, cache = States(wanted), PackedCache()
    for number, one in enumerate(batch.passes):
        fed = feed(embedded[one.span], one, made)
        cache.begin(number, one)
        with packed_attention(decoder, cache), recomputed(decoder, cache) if recompute else nullcontext():
            out = decoder(
                inputs_embeds=fed[None],
                attention_mask=_mask(windows, one, fed.dtype),
                position_ids=batch.positions[None, one.span],
                past_key_values=cache,
                use_cache=True,
                output_hidden_states=bool(made.layers),
            )
        made.add(fed, out)
    return made.output(cache)


class States:
    """The results of the passes so far: the vectors fed, the last states, and those of the requested layers."""

    def __init__(self, wanted: list[int]) -> None:
        self.fed: list[Tensor] = []
        self.last: list[Tensor] = []
        self.layers: dict[int, list[Tensor]] = {layer: [] for layer in wanted}

    def add(self, fed: Tensor, out: Any) -> None:
        """Add a pass: the vectors fed ``[tokens of the pass, d]`` and what the decoder returned."""
        self.fed.append(fed)
        self.last.append(out.last_hidden_state[0])
        for layer, states in self.layers.items():
            states.append(layer_states(out, layer)[0])

    def at(self, tokens: Tensor, layer: int | None) -> tuple[Tensor, Tensor]:
        """Return the states ``[n, d]`` at `tokens` ``[n]``: after the final norm, and of `layer`."""
        last = _pick(self.last, tokens)
        return last, last if layer is None else _pick(self.layers[layer], tokens)

    def output(self, cache: PackedCache) -> ModelOutput:
        """Return all passes as one output."""
        layers = {layer: torch.cat(states) for layer, states in self.layers.items()}
        return ModelOutput(torch.cat(self.fed), torch.cat(self.last), layers, cache)


def _pick(pieces: list[Tensor], tokens: Tensor) -> Tensor:
    """Return rows `tokens` ``[n]`` of the concatenated `pieces` ``[tokens of a pass, d]``: ``[n, d]``."""
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
