"""How a batch of sequences shares columns.

The k-th latent of every row stands in the same column, so a batch needs one pass for the text before
the first latent and one more for each latent of its longest row, whatever the rows look like:

    row 0:  q q q [1] a . [2] b
    row 1:  q q . [1] c d  .  .        . = padding that no position sees
            pass 0 |pass 1 |pass 2

Knows nothing about models or vectors.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence as Rows
from dataclasses import dataclass

import torch
from torch import Tensor

from thoughtscope.latents.layout import IGNORE, Sequence


@dataclass(frozen=True)
class Batch:
    """Sequences laid out in shared columns; every tensor is ``[batch, columns]``.

    Attributes:
        token_ids: padding holds the pad id.
        positions: place of each token in its own row, counted from 0.
        valid: False at padding.
        targets: the label of the *next* position of the row, or `IGNORE`.
        passes: the column span of each pass; a latent stands first in every pass but the first.
        sources: for each pass, ``[batch]``: the column before the row's latent (0 where it has none).
        columns: ``[batch, longest]``: the column of each position of a row, -1 past its end.
    """

    token_ids: Tensor
    positions: Tensor
    valid: Tensor
    targets: Tensor
    passes: list[slice]
    sources: Tensor
    columns: Tensor

    @property
    def real_tokens(self) -> int:
        """Positions that are no padding."""
        return int(self.valid.sum())

    def last_columns(self) -> Tensor:
        """Return ``[batch]``: the column of each row's last position."""
        last = (self.columns >= 0).sum(1) - 1
        return self.columns.gather(1, last[:, None]).squeeze(1)


def align(
    sequences: Rows[Sequence],
    pad_id: int,
    *,
    sequential: bool = True,
    device: torch.device | str = "cpu",
    passes: int | None = None,
) -> Batch:
    """Lay `sequences` out in shared columns.

    Args:
        sequential: False if no latent depends on the position before it; then one pass holds everything.
        passes: at least this many passes (ranks that work together need equally many).
    """
    starts = [_segment_starts(one, sequential) for one in sequences]
    count = max(len(row) for row in starts)
    if passes is not None:
        count = max(count, passes)
    widths = [1] * count
    for row in starts:
        for k, (begin, end) in enumerate(row):
            widths[k] = max(widths[k], end - begin)
    offsets = [sum(widths[:k]) for k in range(count)]
    total, longest = sum(widths), max(len(one.token_ids) for one in sequences)
    token_ids, positions, valid, targets, columns, sources = [], [], [], [], [], []
    for one, row in zip(sequences, starts, strict=True):
        where = [offsets[k] + i for k, (begin, end) in enumerate(row) for i in range(end - begin)]
        labels = [*one.labels[1:], IGNORE]
        token_ids.append(_spread(one.token_ids, where, total, pad_id))
        positions.append(_spread(range(len(where)), where, total, 0))
        valid.append(_spread([True] * len(where), where, total, False))
        targets.append(_spread(labels, where, total, IGNORE))
        columns.append([*where, *([-1] * (longest - len(where)))])
        sources.append([where[row[k][0] - 1] if 0 < k < len(row) else 0 for k in range(count)])

    def tensor(rows: list[list[int]] | list[list[bool]]) -> Tensor:
        return torch.tensor(rows, device=device)

    return Batch(
        token_ids=tensor(token_ids),
        positions=tensor(positions),
        valid=tensor(valid),
        targets=tensor(targets),
        passes=[slice(offset, offset + width) for offset, width in zip(offsets, widths, strict=True)],
        sources=tensor(sources).T.contiguous(),
        columns=tensor(columns),
    )


def _segment_starts(one: Sequence, sequential: bool) -> list[tuple[int, int]]:
    """Return the spans of positions that one pass computes: up to the first latent, then from each on."""
    cuts = [t for t, latent in enumerate(one.is_latent) if latent] if sequential else []
    edges = [0, *cuts, len(one.token_ids)]
    return list(itertools.pairwise(edges))


def _spread(values: Rows[int], where: list[int], total: int, blank: int) -> list[int]:
    row = [blank] * total
    for column, value in zip(where, values, strict=True):
        row[column] = value
    return row


def in_order_of_shape(sequences: Rows[Sequence]) -> list[int]:
    """Return the indices of `sequences` sorted so that neighbours waste few columns when batched."""
    return sorted(range(len(sequences)), key=lambda i: (sequences[i].latents, len(sequences[i].token_ids)))
