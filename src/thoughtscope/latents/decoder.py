"""The parts of a causal language model that the engine uses, found in any class of Transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel


def decoder_of(model: Any) -> Any:
    """Return the module that turns input vectors into hidden states.

    `get_decoder` looks for names, and in some classes finds another module (ModernBERT's `decoder` is its head).
    """
    found = model.get_decoder()
    if found is not model and isinstance(found, PreTrainedModel):
        return found
    return next((child for child in model.children() if isinstance(child, PreTrainedModel)), found)


@contextmanager
def replaced_forward(module: Any, forward: Callable[..., Any]) -> Iterator[None]:
    """Let a call of `module` compute `forward` inside, its hooks aside."""
    own = module.__dict__.get("forward")  # a wrapped forward, if there is one
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
        if own is not None:
            module.forward = own


def layer_states(out: Any, layer: int | None) -> Tensor:
    """Return the states ``[rows, n, d]`` of a decoder's output at a layer; the last layer (or None) is after the norm.

    Some configurations (`tie_last_hidden_states: false`) make `hidden_states[-1]` the states before the final norm.
    """
    last = layer is None or layer == len(out.hidden_states) - 1
    states: Tensor = out.last_hidden_state if last else out.hidden_states[layer]
    return states


def context_length(config: Any) -> int | None:
    """Return how many positions a text configuration allows; None if it states no limit.

    Rotary positions of type `longrope` scale a whole row by its length; up to the original length all rows agree.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    original = getattr(config, "original_max_position_embeddings", None) or rope.get("original_max_position_embeddings")
    if rope.get("rope_type") == "longrope" and original:
        return int(original)
    for name in ("max_position_embeddings", "max_seq_len"):
        length = getattr(config, name, None)
        if isinstance(length, int) and length > 0:
            return length
    return None
