"""What a response costs: floating-point operations, counted from the positions that are computed. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sizes:
    """The sizes of a model that decide the operations of a position.

    Attributes:
        body: entries of the matrices of all layers; those of every expert, where there are experts.
        attention: layers times heads times the width of a head.
        head: entries of the output head.
        fill: parameters of the fill.
    """

    body: int
    attention: int
    head: int
    fill: int = 0

    @classmethod
    def of(cls, model: Any, fill: Any = None) -> Sizes:
        """Return the sizes of a Transformers causal LM and the module of a fill's parameters."""
        config = model.config.get_text_config()
        heads = config.num_attention_heads
        width = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)
        tables = {id(model.get_input_embeddings().weight), id(model.get_output_embeddings().weight)}
        body = sum(value.numel() for value in model.parameters() if value.ndim > 1 and id(value) not in tables)
        extra = 0 if fill is None else sum(value.numel() for value in fill.parameters())
        return cls(body, config.num_hidden_layers * width, model.get_output_embeddings().weight.numel(), extra)


def operations(sizes: Sizes, pieces: Sequence[tuple[int, int]], scored: int, filled: int) -> float:
    """Return the floating-point operations of a response alone in its batch, its keys and values kept.

    A multiplication and an addition for each entry of a matrix and position (2 N, as in arXiv 2001.08361), and two
    products with every position before it in each layer. Norms, activations and the embedding are left out; attention
    counts as full, also where a layer has a window.

    Args:
        pieces: positions (begin, end) that each pass computes.
        scored: how often the output head is computed.
        filled: how often the fill is computed.
    """
    positions = sum(end - begin for begin, end in pieces)
    seen = sum((begin + 1 + end) * (end - begin) // 2 for begin, end in pieces)
    return float(2 * (sizes.body * positions + sizes.head * scored + sizes.fill * filled) + 4 * sizes.attention * seen)
