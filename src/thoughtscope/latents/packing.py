"""How the sequences of a batch are cut into passes, and how the tokens of a pass are packed.

A latent needs the state before it, so a row is computed in pieces: up to its first latent, then from each latent to
the next. The k-th piece of every row belongs to pass k, wherever in the row it stands; a pass holds the tokens of all
its rows one after another, without padding:

    row 0:  q q q | L a | L b          pass 0:  q q q q q     rows 0 and 1
    row 1:  q q | L c d e              pass 1:  L a L c d e   rows 0 and 1
                                       pass 2:  L b           row 0

Knows nothing about models or vectors.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from thoughtscope.latents.fills.base import BaseFill
from thoughtscope.latents.layout import IGNORE, TokenSequence

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pass:
    """Tokens that are computed at once: a piece of each of `rows` rows.

    Attributes:
        span: which tokens of the batch.
        queries: ``[rows, longest piece]``: each row's tokens, counted within the pass; its last one fills the rest.
        places: ``[tokens]``: where each token is in the flattened `queries`.
        keys: ``[rows, longest so far]``: the token of the batch that holds each position of the row.
        positions: ``[rows, longest piece]``: the position of each query in its row.
        latents: tokens, counted within the pass, that are fed a vector instead of their embedding.
        sources: for each of `latents`, the token of the batch before it.
        ragged: whether pieces differ in length.
        aligned: whether this and all passes before hold a piece of every row, each as long as the others.
    """

    span: slice
    queries: Tensor
    places: Tensor
    keys: Tensor
    positions: Tensor
    latents: Tensor
    sources: Tensor
    ragged: bool
    aligned: bool


@dataclass(frozen=True)
class Batch:
    """Sequences cut into passes; tokens are numbered in the order in which they are computed.

    A token that is computed more than once (Jacobi sweeps) counts as what it was the last time.

    Attributes:
        token_ids: ``[tokens]``.
        positions: ``[tokens]``: place of each token in its own row, counted from 0.
        targets: ``[tokens]``: the label of the *next* position of the row, or `IGNORE`.
        index: ``[rows, longest]``: the token at each position of each row, -1 past its end.
        passes: in their order.
        real_tokens: positions of all rows.
        unlabelled: the id of an example without any label, or None.
    """

    token_ids: Tensor
    positions: Tensor
    targets: Tensor
    index: Tensor
    passes: list[Pass]
    real_tokens: int
    unlabelled: str | None

    @property
    def padding(self) -> int:
        """Attention queries whose result is dropped: they pad the shorter pieces of a pass."""
        return sum(one.queries.numel() - len(one.places) for one in self.passes)

    @property
    def lengths(self) -> Tensor:
        """``[rows]``: how many positions each row has."""
        return (self.index >= 0).sum(1)

    @property
    def ends(self) -> Tensor:
        """``[rows]``: the token at each row's last position."""
        return self.index.gather(1, self.lengths[:, None] - 1).squeeze(1)


def pack(
    sequences: Sequence[TokenSequence],
    fill: BaseFill | None,
    *,
    for_labels: bool = False,
    passes: int = 0,
    device: torch.device | str = "cpu",
) -> Batch:
    """Cut `sequences` into passes.

    Args:
        fill: what is fed at latents; if none depends on the position before it, one pass holds everything.
        for_labels: leave out each row's end that no label needs: the position of its last label and all after it.
        passes: at least this many passes (ranks that work together need equally many).
    """
    sequential = fill is not None and fill.sequential
    lengths = np.array([_needed(one) if for_labels else len(one.token_ids) for one in sequences])
    rows = [cuts(one, int(length), fill) for one, length in zip(sequences, lengths, strict=True)]
    count = max([passes, *(len(row) for row in rows)])
    token_ids = _table([one.token_ids for one in sequences], lengths)
    latent = _table([one.is_latent for one in sequences], lengths).astype(bool) & sequential
    labels = _table([[*one.labels[1:], IGNORE] for one in sequences], lengths, IGNORE)
    index = np.full(token_ids.shape, -1)
    made: list[Pass] = []
    where, done = [], 0
    for k in range(count):
        pieces = [(i, *row[k]) for i, row in enumerate(rows) if k < len(row)]
        if not pieces:  # a rank without work computes the last position of its first row again, to stay in step
            pieces = [(0, int(lengths[0]) - 1, int(lengths[0]))]
        aligned = not made or made[-1].aligned
        one, places = _pass(np.array(pieces), index, latent, done, aligned, device)
        made.append(one)
        where.append(places)
        done = one.span.stop
    row_of, position = np.concatenate(where, axis=1)
    targets = np.where(index[row_of, position] == np.arange(done), labels[row_of, position], IGNORE)
    empty = np.flatnonzero((labels == IGNORE).all(1))
    return Batch(
        token_ids=torch.from_numpy(token_ids[row_of, position]).to(device),
        positions=torch.from_numpy(position).to(device),
        targets=torch.from_numpy(targets).to(device),
        index=torch.from_numpy(index).to(device),
        passes=made,
        real_tokens=int(lengths.sum()),
        unlabelled=sequences[empty[0]].example_id if len(empty) else None,
    )


def _needed(one: TokenSequence) -> int:
    """Return how many positions of a row must be computed to predict all of its labels (at least one)."""
    return max((t for t, label in enumerate(one.labels) if label != IGNORE), default=0) or 1


def serial_passes(one: TokenSequence, fill: BaseFill | None) -> int:
    """Return how many passes, each waiting for the one before, compute a row with what `fill` feeds at its latents."""
    return len(cuts(one, len(one.token_ids), fill))


def computed_positions(one: TokenSequence, fill: BaseFill | None) -> int:
    """Return how many positions training computes of a row; what several Jacobi sweeps compute counts each time."""
    return sum(end - begin for begin, end in cuts(one, _needed(one), fill))


def cuts(one: TokenSequence, length: int, fill: BaseFill | None) -> list[tuple[int, int]]:
    """Return the positions (begin, end) that each pass computes of a row's first `length`."""
    latents = [t for t, flag in enumerate(one.is_latent[:length]) if flag] if fill and fill.sequential else []
    sweeps = len(latents) if fill is None or fill.sweeps is None else fill.sweeps
    if len(latents) <= sweeps:
        edges = [0, *latents, length]
        return list(itertools.pairwise(edges))
    first, last = latents[0], latents[-1]
    return [(0, last), *[(first, last)] * (sweeps - 1), (first, length)]


def _pass(
    pieces: Ints, index: Ints, latent: npt.NDArray[np.bool_], done: int, aligned: bool, device: torch.device | str
) -> tuple[Pass, Ints]:
    """Return the pass of `pieces` ``[rows, (row, begin, end)]`` and each token's (row, position); writes `index`."""
    row, begin, end = pieces.T
    size = end - begin
    first = np.cumsum(size) - size
    within = np.arange(size.sum()) - np.repeat(first, size)
    row_of, position = np.repeat(row, size), np.repeat(begin, size) + within
    latents = np.flatnonzero(latent[row_of, position])
    sources = index[row_of[latents], position[latents] - 1]
    known = sources >= 0  # before the first sweep, latents keep their token's embedding
    tokens, width = len(row_of), int(size.max())
    index[row_of, position] = done + np.arange(tokens)
    offsets = np.minimum(np.arange(width), size[:, None] - 1)

    def tensor(values: Ints) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device)

    made = Pass(
        span=slice(done, done + tokens),
        queries=tensor(first[:, None] + offsets),
        places=tensor(np.repeat(np.arange(len(row)) * width, size) + within),
        keys=tensor(index[row, : end.max()].clip(min=0)),
        positions=tensor(begin[:, None] + offsets),
        latents=tensor(latents[known]),
        sources=tensor(sources[known]),
        ragged=bool((size != width).any()),
        aligned=aligned and len(row) == len(index) and bool(((size == width) & (begin * len(row) == done)).all()),
    )
    return made, np.stack([row_of, position])


def _table(rows: Sequence[Sequence[int]], lengths: Ints, blank: int = 0) -> Ints:
    """Return ragged rows as one array ``[rows, longest]``."""
    table = np.full((len(rows), int(lengths.max())), blank)
    for line, row, length in zip(table, rows, lengths, strict=True):
        line[:length] = row[:length]
    return table


def in_order_of_shape(sequences: Sequence[TokenSequence]) -> list[int]:
    """Return the indices of `sequences` sorted so that neighbours need equally many passes of like length."""
    return sorted(range(len(sequences)), key=lambda i: (sequences[i].latents, len(sequences[i].token_ids)))
