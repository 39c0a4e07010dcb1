"""PyTorch's `flex_attention` computes a packed pass exactly: each query sees its own row, up to its own position.

The engine does not use it (docs/latents.md). On a CPU it has no backward pass, so gradients are compared on CUDA only.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from torch.nn.functional import scaled_dot_product_attention

from tests.rows import HIDDEN, LAYOUTS
from thoughtscope.latents.packing import pack

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_gives_the_values_of_dense_attention_for_every_pass(layout: str) -> None:
    batch = pack(LAYOUTS[layout](7), HIDDEN, device=DEVICE)
    rows = torch.empty_like(batch.positions)
    for row, tokens in enumerate(batch.index):
        rows[tokens[tokens >= 0]] = row
    generator = torch.Generator(DEVICE).manual_seed(0)
    for one in batch.passes:
        query_rows, query_positions = rows[one.span], batch.positions[one.span]

        def sees(
            b: Tensor, h: Tensor, q: Tensor, k: Tensor, at: Tensor = query_rows, positions: Tensor = query_positions
        ) -> Tensor:
            return (at[q] == rows[k]) & (positions[q] >= batch.positions[k])

        shapes = [(1, 2, size, 16) for size in (len(query_rows), one.span.stop, one.span.stop)]
        states = [torch.randn(shape, generator=generator, device=DEVICE, dtype=torch.float64) for shape in shapes]
        states = [state.requires_grad_(DEVICE == "cuda") for state in states]
        mask = create_block_mask(sees, None, None, len(query_rows), one.span.stop, device=DEVICE)
        dense = sees(*([torch.zeros((), dtype=torch.long)] * 2), *_places(len(query_rows), one.span.stop))
        found = flex_attention(*states, block_mask=mask)
        expected = scaled_dot_product_attention(*states, attn_mask=dense)
        assert isinstance(found, Tensor)
        assert float((found - expected).abs().max()) < 1e-9
        if DEVICE == "cuda":
            weights = torch.randn(found.shape, generator=generator, device=DEVICE, dtype=torch.float64)
            mine, other = (torch.autograd.grad(out, states, weights) for out in (found, expected))
            assert all(float((a - b).abs().max()) < 1e-9 for a, b in zip(mine, other, strict=True))


def _places(queries: int, keys: int) -> tuple[Tensor, Tensor]:
    return torch.arange(queries, device=DEVICE)[:, None], torch.arange(keys, device=DEVICE)[None]
