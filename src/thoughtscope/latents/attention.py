"""Attention over packed rows: who sees whom, the cache of a batch, and how queries find their rows.

Everything outside of attention works on single tokens, so a pass runs through the model as one row of packed tokens.
Only attention needs to know which token belongs to which row. It is told through Transformers' own two doors: a cache,
whose `update` returns each row's keys and values at the places of their positions, and an attention function,
which lays the queries out by row, calls the model's usual attention, and packs the result again.

Since keys stand at their positions, causality and sliding windows follow from positions alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, DynamicCache
from transformers.cache_utils import Cache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from thoughtscope.errors import UserError
from thoughtscope.latents.packing import Pass

FULL, SLIDING = "full_attention", "sliding_attention"
PACKED = "thoughtscope_packed"


def attention_windows(config: Any) -> dict[str, int | None]:
    """Return each kind of attention layer of a text configuration, with its window in positions (None: all).

    Raises:
        UserError: a kind of layer that keeps another cache than keys and values, e.g. linear attention.
    """
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or [SLIDING if window else FULL])
    unknown = kinds - {FULL, SLIDING}
    if unknown:
        raise UserError(
            f"model {config.model_type}: config.json: layer_types",
            f"attention of kind {sorted(unknown)[0]!r} keeps a cache that cannot hold latents",
            "use a model whose layers are full_attention or sliding_attention",
        )
    return {kind: window if kind == SLIDING else None for kind in sorted(kinds)}


def attention_mask(
    windows: dict[str, int | None],
    query_positions: Tensor,
    key_positions: Tensor,
    dtype: torch.dtype,
    key_valid: Tensor | None = None,
) -> Tensor | dict[str, Tensor]:
    """Return the additive mask ``[rows, 1, queries, keys]``, or one for each kind of layer.

    Args:
        query_positions: ``[rows, queries]``.
        key_positions: ``[rows or 1, keys]``.
        key_valid: ``[rows, keys]``, False at padding.
    """
    distance = query_positions[:, :, None] - key_positions[:, None, :]
    causal = distance >= 0 if key_valid is None else (distance >= 0) & key_valid[:, None, :]
    masks = {}
    for kind, window in windows.items():
        seen = causal if window is None else causal & (distance < window)
        blocked = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
        masks[kind] = blocked.masked_fill_(~seen, torch.finfo(dtype).min)[:, None]
    return masks if len(masks) > 1 else next(iter(masks.values()))


class PackedCache(Cache):  # type: ignore[misc]
    """Keys and values of all tokens computed so far, by layer ``[tokens, heads, d]``.

    `current` is the pass that is being computed.
    """

    def __init__(self) -> None:
        super().__init__(layers=[])
        self.current: Pass | None = None
        self.keys: list[list[Tensor]] = []
        self.values: list[list[Tensor]] = []

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Add the tokens of the current pass ``[1, heads, tokens, d]``; return ``[rows, heads, positions, d]``."""
        assert self.current is not None
        if layer_idx == len(self.keys):
            self.keys.append([])
            self.values.append([])
        self.keys[layer_idx].append(key_states[0].transpose(0, 1))
        self.values[layer_idx].append(value_states[0].transpose(0, 1))
        return _by_row(self.keys[layer_idx], self.current), _by_row(self.values[layer_idx], self.current)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of tokens computed so far."""
        return sum(len(piece) for piece in self.keys[layer_idx]) if self.keys else 0

    def unpacked(self, index: Tensor) -> DynamicCache:
        """Return rows ``[rows, positions]`` of tokens as an ordinary cache, one column a position."""
        cache = DynamicCache()
        for layer, (keys, values) in enumerate(zip(self.keys, self.values, strict=True)):
            cache.update(_gather(torch.cat(keys), index), _gather(torch.cat(values), index), layer)
        return cache


def _by_row(pieces: list[Tensor], current: Pass) -> Tensor:
    if current.aligned:
        rows = len(current.keys)
        return torch.cat([piece.reshape(rows, -1, *piece.shape[1:]) for piece in pieces], dim=1).transpose(1, 2)
    return _gather(torch.cat(pieces) if len(pieces) > 1 else pieces[0], current.keys)


def _gather(states: Tensor, index: Tensor) -> Tensor:
    """Pick ``[rows, heads, places, d]`` from ``[tokens, heads, d]``."""
    return states.index_select(0, index.flatten()).view(*index.shape, *states.shape[1:]).transpose(1, 2)


@dataclass(frozen=True)
class Packing:
    """What the attention function is told: the pass, and the attention it stands in for."""

    current: Pass
    inner: str


@contextmanager
def packed_attention(decoder: Any) -> Iterator[str]:
    """Route the decoder's attention through `_packed_forward`; yields the name of the attention it has.

    Raises:
        UserError: its attention cannot be exchanged, or takes no masks.
    """
    config = decoder.config
    inner = config._attn_implementation
    if inner not in ("sdpa", "eager") or not decoder._supports_attention_backend:
        raise UserError(f"model {config.model_type}", f"attention {inner!r} cannot hold latents", "use sdpa or eager")
    config._attn_implementation = PACKED
    try:
        yield inner
    finally:
        config._attn_implementation = inner


def _packed_forward(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, *, packing: Packing, **kwargs: Any
) -> tuple[Tensor, None]:
    """Attend; query ``[1, heads, tokens, d]``, key and value ``[rows, heads, positions, d]``."""
    current, states = packing.current, query[0].transpose(0, 1)
    if current.ragged:
        by_row = _gather(states, current.queries)
    else:
        by_row = states.reshape(*current.queries.shape, *states.shape[1:]).transpose(1, 2)
    attend = ALL_ATTENTION_FUNCTIONS.get(packing.inner) or sys.modules[type(module).__module__].eager_attention_forward
    out = attend(module, by_row, key, value, attention_mask, **kwargs)[0].flatten(0, 1)
    return (out.index_select(0, current.places) if current.ragged else out)[None], None


AttentionInterface.register(PACKED, _packed_forward)
