"""Who sees whom: masks made from positions, so that holes between columns never matter.

Transformers counts columns when it builds causal and sliding-window masks; with padding inside a row a
column is no longer a position. So the masks are built here and handed over whole: a four-dimensional
mask (or one for each kind of layer) is taken as it is by all the supported classes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from thoughtscope.errors import UserError

FULL, SLIDING = "full_attention", "sliding_attention"


def attention_windows(config: Any) -> dict[str, int | None]:
    """Return each kind of attention layer of a text configuration, with its window in positions (None: all).

    Raises:
        UserError: a kind of layer that masks cannot express, e.g. linear attention.
    """
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or [SLIDING if window else FULL])
    unknown = kinds - {FULL, SLIDING}
    if unknown:
        raise UserError(
            f"model {config.model_type}: config.json: layer_types",
            f"attention of kind {sorted(unknown)[0]!r} cannot hold latents",
            "use a model whose layers are full_attention or sliding_attention",
        )
    return {kind: window if kind == SLIDING else None for kind in sorted(kinds)}


def attention_mask(
    windows: dict[str, int | None],
    query_positions: Tensor,
    key_positions: Tensor,
    key_valid: Tensor,
    dtype: torch.dtype,
) -> Tensor | dict[str, Tensor]:
    """Return the additive mask ``[batch, 1, queries, keys]``, or one for each kind of layer.

    The queries are the last columns of the keys. A query of padding sees its own column, so that
    no row of the softmax is empty.

    Args:
        query_positions: ``[batch, queries]``.
        key_positions: ``[batch, keys]``.
        key_valid: ``[batch, keys]``, False at padding.
    """
    distance = query_positions[:, :, None] - key_positions[:, None, :]
    queries, keys = distance.shape[1:]
    itself = torch.eye(keys, dtype=torch.bool, device=distance.device)[keys - queries :]
    causal = (distance >= 0) & key_valid[:, None, :] | itself
    masks = {}
    for kind, window in windows.items():
        seen = causal if window is None else causal & ((distance < window) | itself)
        blocked = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
        masks[kind] = blocked.masked_fill_(~seen, torch.finfo(dtype).min)[:, None]
    return masks if len(masks) > 1 else next(iter(masks.values()))
