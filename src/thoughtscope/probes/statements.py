"""Brings stored states of statements into arrays: the tokens of a layer, and one vector a statement.

Knows nothing about directions or scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thoughtscope import tables
from thoughtscope.hidden_states.read import read_vectors
from thoughtscope.hidden_states.write import SURPRISALS

Array = NDArray[np.float64]
Tokens = Literal["last", "mean"]


@dataclass(frozen=True)
class Layer:
    """Stored vectors of one layer, in the order they were read.

    Attributes:
        vectors: ``[tokens, d]``.
        codes: ``[tokens]``: the row of the statement that each token belongs to; tokens of one are in order.
        positions: ``[tokens]``: place of the token in its response, counted from 0.
    """

    vectors: Array
    codes: NDArray[np.int64]
    positions: NDArray[np.int64]
    tokens: list[str]

    def of(self, rows: NDArray[np.int64], tokens: Tokens) -> Array:
        """Return one vector for each statement in `rows`: its last token's, or the mean over its tokens."""
        count = int(self.codes.max()) + 1
        if tokens == "last":
            last = np.zeros(count, dtype=np.int64)
            last[self.codes] = np.arange(len(self.codes))
            ends: Array = self.vectors[last[rows]]
            return ends
        sums = np.zeros((count, self.vectors.shape[1]))
        np.add.at(sums, self.codes, self.vectors)
        means: Array = sums[rows] / np.bincount(self.codes, minlength=count)[rows][:, None]
        return means


@dataclass(frozen=True)
class Statements:
    """The statements of a task and where their states are.

    Args:
        rows: `tables.STATEMENTS`.
        folder: the hidden states of a backbone that read them.
    """

    rows: pd.DataFrame
    folder: Path

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]], folder: Path) -> Statements:
        """Take the task's rows as they were read."""
        return cls(pd.DataFrame(list(rows)), folder)

    @cached_property
    def surprisal(self) -> Array:
        """Mean and last surprisal of each statement's tokens ``[statements, 2]``, in nats."""
        found = tables.read(self.folder / SURPRISALS, tables.SURPRISALS).to_pandas().sort_values("position")
        grouped = found.groupby("example_id")["surprisal"].agg(["mean", "last"]).reindex(self.rows["example_id"])
        values: Array = grouped.to_numpy(dtype=np.float64)
        return values

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Number of stored tokens of each statement."""
        layer = self.layer(0)
        counts: NDArray[np.int64] = np.bincount(layer.codes, minlength=len(self.rows))
        return counts

    def layer(self, layer: int) -> Layer:
        """Read one layer of all statements."""
        vectors, frame = read_vectors(self.folder, "output", layer)
        numbers = {name: i for i, name in enumerate(self.rows["example_id"])}
        codes = frame["example_id"].map(numbers).to_numpy(dtype=np.int64)
        positions = frame["position"].to_numpy(dtype=np.int64)
        order = np.lexsort((positions, codes))
        first = np.full(len(self.rows), np.iinfo(np.int64).max)
        np.minimum.at(first, codes, positions)
        return Layer(
            vectors[order].astype(np.float64),
            codes[order],
            (positions - first[codes])[order],
            frame["token"].to_numpy()[order].tolist(),
        )

    def where(self, split: str, negated: bool | None = None) -> NDArray[np.int64]:
        """Return the rows of a split, in the order of their ids' pairs."""
        chosen = self.rows["split"] == split
        if negated is not None:
            chosen &= self.rows["negated"] == negated
        return np.flatnonzero(chosen.to_numpy())

    def labels(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return 1 for true and 0 for false."""
        return self.rows["label"].to_numpy()[rows].astype(np.int64)

    def subjects(self, rows: NDArray[np.int64]) -> NDArray[np.object_]:
        """Return whom each statement is about."""
        return self.rows["subject"].to_numpy(dtype=object)[rows]


def length_matched(lengths: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return indices that leave as many true as false statements of every length."""
    kept = []
    for length in np.unique(lengths):
        true, false = (np.flatnonzero((lengths == length) & (labels == label)) for label in (1, 0))
        both = min(len(true), len(false))
        kept += [*true[:both], *false[:both]]
    return np.array(sorted(kept), dtype=np.int64)


def without(nuisance: Array, vectors: Array, fitted_on: NDArray[np.int64]) -> Array:
    """Return `vectors` less what a linear regression on `nuisance`, fitted on the rows `fitted_on`, predicts.

    What is left of an entry that never varies, or that the nuisance explains whole, is rounding. It follows the
    nuisance, and with it the truth, so it is set to 0: a probe would read it.
    """
    design = np.column_stack([np.ones(len(nuisance)), nuisance])
    weights = np.linalg.lstsq(design[fitted_on], vectors[fitted_on], rcond=None)[0]
    rest: Array = vectors - design @ weights
    rounding = 1e-6 * np.abs(vectors[fitted_on]).max(0)
    rest[:, np.abs(rest[fitted_on]).max(0) <= rounding] = 0.0
    return rest
