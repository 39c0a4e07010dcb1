"""Attention over packed rows: who sees whom, the cache of a batch, and how queries find their rows.

Everything outside of attention works on single tokens, so a pass runs through the model as one row of packed tokens.
Only attention needs to know which token belongs to which row. It learns this through two interfaces of Transformers:
a cache, whose `update` returns each row's keys and values in the order of their positions, and an attention function,
which lays the queries out by row, calls the model's usual attention, and packs the result again.

Since keys are in the order of their positions, causality, sliding windows and chunks follow from positions alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import AttentionInterface, DynamicCache
from transformers.cache_utils import Cache
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from thoughtscope.errors import UserError
from thoughtscope.latents.decoder import replaced_forward
from thoughtscope.latents.packing import Pass

FULL, SLIDING, CHUNKED = "full_attention", "sliding_attention", "chunked_attention"
PACKED = "thoughtscope_packed"


def attention_windows(config: Any) -> dict[str, int | None]:
    """Return each kind of attention layer of a text configuration, with its window or chunk in positions (None: all).

    Raises:
        UserError: a kind of layer that keeps another state than keys and values, e.g. linear attention.
    """
    window = getattr(config, "sliding_window", None)
    named = getattr(config, "layer_types", None) or getattr(config, "layers_block_type", None)
    kinds = set(named or [SLIDING if window else FULL])
    sizes = {FULL: None, SLIDING: window, CHUNKED: getattr(config, "attention_chunk_size", None)}
    unknown = kinds - sizes.keys()
    if unknown:
        raise UserError(
            f"model {config.model_type}: config.json: layer_types",
            f"layers of kind {sorted(unknown)[0]!r} keep more than keys and values, which latents cannot continue",
            f"use a model whose layers are {FULL}, {SLIDING} or {CHUNKED}",
        )
    return {kind: sizes[kind] for kind in sorted(kinds)}


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
        key_valid: ``[rows, keys]``, False at padding; or ``[rows, queries, keys]``, what each query may see.
    """
    queries, keys = query_positions[:, :, None], key_positions[:, None, :]
    causal = queries >= keys
    if key_valid is not None:
        causal = causal & (key_valid if key_valid.ndim == 3 else key_valid[:, None, :])
    masks = {}
    for kind, size in windows.items():
        if size is None:
            seen = causal
        elif kind == CHUNKED:
            seen = causal & (queries // size == keys // size)
        else:
            seen = causal & (queries - keys < size)
        blocked = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
        masks[kind] = blocked.masked_fill_(~seen, torch.finfo(dtype).min)[:, None]
    return masks if len(masks) > 1 else next(iter(masks.values()))


class PackedCache(Cache):  # type: ignore[misc]
    """Keys and values of all tokens computed so far, by layer ``[tokens, heads, d]``.

    Each layer has one piece for each pass. A layer that computes a pass again (see `recomputed`) gets the pieces of the
    passes before it and its own new one, which is not stored a second time.

    Attributes:
        current: the pass that is being computed.
        stored: how many layers of the current pass have stored their keys and values.
        attended: how many layers of the current pass have called the attention function of this module.
    """

    def __init__(self) -> None:
        super().__init__(layers=[])
        self.keys: dict[int, list[Tensor]] = {}
        self.values: dict[int, list[Tensor]] = {}

    def begin(self, number: int, current: Pass) -> None:
        """Start the pass `current`, which is preceded by `number` others."""
        self.number, self.current, self.stored, self.attended = number, current, 0, 0

    @contextmanager
    def again(self, number: int, current: Pass) -> Iterator[None]:
        """Let layers called inside compute an earlier pass again."""
        latest = self.number, self.current
        self.number, self.current = number, current
        try:
            yield
        finally:
            self.number, self.current = latest

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Add the tokens of the current pass ``[1, heads, tokens, d]``; return ``[rows, heads, positions, d]``."""
        self.stored += 1
        keys = self._with(self.keys.setdefault(layer_idx, []), key_states)
        values = self._with(self.values.setdefault(layer_idx, []), value_states)
        return _by_row(keys, self.current), _by_row(values, self.current)

    def _with(self, pieces: list[Tensor], states: Tensor) -> list[Tensor]:
        """Return the pieces up to the current pass; `states` ``[1, heads, tokens, d]`` are its own, stored once."""
        own = states[0].transpose(0, 1)
        if len(pieces) == self.number:
            pieces.append(own)
        return [*pieces[: self.number], own]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of tokens computed so far."""
        return sum(len(piece) for piece in self.keys.get(layer_idx, []))

    def unpacked(self, index: Tensor) -> DynamicCache:
        """Return rows ``[rows, positions]`` of tokens as an ordinary cache, one column a position."""
        cache = DynamicCache()
        for layer, keys in sorted(self.keys.items()):
            cache.update(_gather(torch.cat(keys), index), _gather(torch.cat(self.values[layer]), index), layer)
        return cache


def _by_row(pieces: list[Tensor], current: Pass) -> Tensor:
    if current.aligned:
        rows = len(current.keys)
        return torch.cat([piece.reshape(rows, -1, *piece.shape[1:]) for piece in pieces], dim=1).transpose(1, 2)
    return _gather(torch.cat(pieces) if len(pieces) > 1 else pieces[0], current.keys)


def _gather(states: Tensor, index: Tensor) -> Tensor:
    """Pick ``[rows, heads, places, d]`` from ``[tokens, heads, d]``."""
    return states.index_select(0, index.flatten()).view(*index.shape, *states.shape[1:]).transpose(1, 2)


_running: ContextVar[tuple[PackedCache, str]] = ContextVar("thoughtscope_running")


@contextmanager
def packed_attention(decoder: Any, cache: PackedCache) -> Iterator[None]:
    """Route the decoder's attention through `_packed_forward`, for passes whose keys and values go into `cache`.

    Raises:
        UserError: the model is set to an attention that takes no masks, or its attention cannot be exchanged.
    """
    config = decoder.config
    inner = config._attn_implementation
    if inner not in ("sdpa", "eager"):
        raise UserError(f"model {config.model_type}", f"attention {inner!r} takes no masks", "use sdpa or eager")
    try:
        with _routed(config, cache, inner):
            yield
    except Exception as error:
        if cache.attended < cache.stored:
            raise _not_exchangeable(decoder) from error
        raise
    if cache.attended < cache.stored or not cache.stored:
        raise _not_exchangeable(decoder)


@contextmanager
def _routed(config: Any, cache: PackedCache, inner: str) -> Iterator[None]:
    """Let models with `config` attend through `_packed_forward`, which calls the attention named `inner`."""
    token = _running.set((cache, inner))
    config._attn_implementation = PACKED
    try:
        yield
    finally:
        config._attn_implementation = inner
        _running.reset(token)


@contextmanager
def recomputed(decoder: Any, cache: PackedCache) -> Iterator[None]:
    """Let each layer called inside keep only its input; the backward pass computes the rest again (arXiv 1604.06174).

    Use it inside `packed_attention`. Keys and values stay in `cache`, since later passes read them.

    Raises:
        UserError: the decoder has no layers that Transformers can compute again.
    """
    layers = [module for module in decoder.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers:
        raise UserError(
            f"model {decoder.config.model_type}",
            f"{type(decoder).__name__} has no layers that can be computed again",
            "set training.gradient_checkpointing to false",
        )
    inner, number, current = _running.get()[1], cache.number, cache.current

    def keep_input(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        def compute(*args: Any, **kwargs: Any) -> Any:
            # the backward pass calls it outside of `packed_attention`, on CUDA in another thread
            with cache.again(number, current), _routed(decoder.config, cache, inner):
                return forward(*args, **kwargs)

        return checkpoint(compute, *args, use_reentrant=False, **kwargs)

    with ExitStack() as restored:
        for layer in layers:
            restored.enter_context(replaced_forward(layer, partial(keep_input, layer.forward)))
        yield


def _not_exchangeable(decoder: Any) -> UserError:
    return UserError(
        f"model {decoder.config.model_type}",
        f"{type(decoder).__name__} does not route all of its attention through Transformers' cache and attention "
        "interface, which packed rows need",
        "use another model",
    )


def _packed_forward(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, **kwargs: Any
) -> tuple[Tensor, None]:
    """Attend; query ``[1, heads, tokens, d]``, key and value ``[rows, heads, positions, d]``."""
    cache, inner = _running.get()
    cache.attended += 1
    current, states = cache.current, query[0].transpose(0, 1)
    if current.ragged:
        by_row = _gather(states, current.queries)
    else:
        by_row = states.reshape(*current.queries.shape, *states.shape[1:]).transpose(1, 2)
    attend = ALL_ATTENTION_FUNCTIONS.get(inner) or sys.modules[type(module).__module__].eager_attention_forward
    out = attend(module, by_row, key, value, attention_mask, **kwargs)[0].flatten(0, 1)
    return (out.index_select(0, current.places) if current.ragged else out)[None], None


AttentionInterface.register(PACKED, _packed_forward)
