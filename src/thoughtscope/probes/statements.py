"""Reads stored hidden states of statements into arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thoughtscope import schemas
from thoughtscope.errors import UserError
from thoughtscope.hidden_states.read import describe_states, read_vectors
from thoughtscope.hidden_states.write import SURPRISALS
from thoughtscope.probes.settings import Tokens

Array = NDArray[np.float64]
Vectors = NDArray[np.float32]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Index:
    """The token of each stored vector, sorted by statement and position.

    Attributes:
        statements: ``[tokens]``, the index of the statement.
        positions: ``[tokens]``, the position in the response, counted from 0.
        distances: ``[tokens]``, the position counted from the end; 0 is the last token.
        texts: ``[tokens]``, the text of the token.
        last: ``[statements]``, the index of the last token of each statement.
        counts: ``[statements]``, the number of tokens of each statement.
    """

    statements: NDArray[np.int64]
    positions: NDArray[np.int64]
    distances: NDArray[np.int64]
    texts: NDArray[np.object_]
    last: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, statements: NDArray[np.int64], texts: NDArray[np.object_], size: int) -> Index:
        """Return the index of tokens with these ``statements [tokens]``, sorted, and ``texts [tokens]``.

        Args:
            size: the number of statements.
        """
        counts = np.bincount(statements, minlength=size)
        ends = np.cumsum(counts)
        places = np.arange(len(statements))
        positions = places - (ends - counts)[statements]
        distances = ends[statements] - 1 - places
        return cls(statements, positions, distances, texts, ends - 1, counts)

    def texts_of(self, row: int) -> list[str]:
        """Return the tokens of a statement."""
        end = int(self.last[row]) + 1
        return [str(text) for text in self.texts[end - int(self.counts[row]) : end]]


@dataclass(frozen=True)
class Statements:
    """The statements of a task and the folder of their hidden states.

    Args:
        rows: `schemas.STATEMENTS`, sorted by id, so that results do not depend on the order of a file.
        folder: the hidden states of the backbone that read them.
    """

    rows: pd.DataFrame
    folder: Path

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]], folder: Path) -> Statements:
        """Sort the examples of a task, which may be in any order."""
        return cls(pd.DataFrame(list(rows)).sort_values("example_id", ignore_index=True), folder)

    @cached_property
    def _first(self) -> pd.DataFrame:
        """The columns of the first layer's stored rows, which name their tokens; other layers have the same tokens."""
        return read_vectors(self.folder, "output", describe_states(self.folder)["layers"][0])[1]

    @cached_property
    def index(self) -> Index:
        """The token of each row of `vectors`.

        Raises:
            UserError: a statement has no stored states.
        """
        order, statements = self._order(self._first)
        index = Index.of(statements[order], self._first["token"].to_numpy(dtype=object)[order], len(self.rows))
        if not index.counts.all():
            missing = self.rows["example_id"].iloc[int(index.counts.argmin())]
            raise UserError(str(self.folder), f"it has no states of statement {missing}", "extract them again")
        return index

    def vectors(self, layer: int) -> Vectors:
        """Return the states ``[tokens, d]`` of one layer, in the order of `index`.

        Raises:
            UserError: the layer has other tokens than the first one.
        """
        found, frame = read_vectors(self.folder, "output", layer)
        order, statements = self._order(frame)
        if not np.array_equal(statements[order], self.index.statements):
            raise UserError(str(self.folder), f"layer {layer} has other tokens than the first", "extract them again")
        vectors: Vectors = found[order]
        return vectors

    def _order(self, frame: pd.DataFrame) -> tuple[Rows, NDArray[np.int64]]:
        """Return the order that sorts stored rows by statement and position, and the statement of each stored row."""
        rng = {name: i for i, name in enumerate(self.rows["example_id"])}
        found = frame["example_id"].map(rng)
        if found.isna().any():
            other = frame.loc[found.isna(), "example_id"].iloc[0]
            raise UserError(str(self.folder), f"statement {other} is not in the task", "extract them again")
        statements = found.to_numpy(dtype=np.int64)
        return np.lexsort((frame["position"].to_numpy(), statements)), statements

    @cached_property
    def token_surprisals(self) -> Array:
        """Surprisal ``[tokens]`` of each stored token in nats; NaN at the first token of a sequence."""
        found = schemas.read(self.folder / SURPRISALS, schemas.SURPRISALS).to_pandas()
        joined = self._first[["example_id", "position"]].merge(found, on=["example_id", "position"], how="left")
        values: Array = joined["surprisal"].to_numpy(dtype=np.float64)[self._order(self._first)[0]]
        return values

    @cached_property
    def surprisals(self) -> Array:
        """Mean and last surprisal of the tokens of each statement, ``[statements, 2]``, in nats; NaN if none."""
        frame = pd.DataFrame({"row": self.index.statements, "value": self.token_surprisals}).dropna()
        grouped = frame.groupby("row")["value"].agg(["mean", "last"]).reindex(range(len(self.rows)))
        values: Array = grouped.to_numpy(dtype=np.float64)
        return values

    def represented(self, vectors: Vectors, rows: Rows, tokens: Tokens) -> Vectors:
        """Return a vector for each statement, ``[rows, d]``: of ``vectors [tokens, d]`` its last, or the mean."""
        if tokens == "last":
            ends: Vectors = vectors[self.index.last[rows]]
            return ends
        sums = np.add.reduceat(vectors, self.index.last - self.index.counts + 1, axis=0, dtype=np.float64)
        means: Vectors = (sums[rows] / self.index.counts[rows][:, None]).astype(np.float32)
        return means

    def where(self, split: str, negated: bool | None = None) -> Rows:
        """Return the indices of the statements of a split; `negated` selects plain or negated ones, None both."""
        chosen = self.rows["split"] == split
        if negated is not None:
            chosen &= self.rows["negated"] == negated
        return np.flatnonzero(chosen.to_numpy())

    def labels(self, rows: Rows) -> NDArray[np.int64]:
        """Return the labels ``[rows]`` of statements: 1 for true, 0 for false."""
        return self.rows["label"].to_numpy()[rows].astype(np.int64)


def length_matched(lengths: NDArray[np.int64], labels: NDArray[np.int64]) -> Rows:
    """Return indices of a subset with as many true as false statements of every length."""
    kept = []
    for length in np.unique(lengths):
        true, false = (np.flatnonzero((lengths == length) & (labels == label)) for label in (1, 0))
        both = min(len(true), len(false))
        kept += [*true[:both], *false[:both]]
    return np.array(sorted(kept), dtype=np.intp)


def without(nuisance: Array, values: NDArray[np.floating]) -> Array:
    """Return the residuals ``[n, d]`` of a linear regression of ``values [n, d]`` on ``nuisance [n, k]``.

    The residual of a column that is constant, or that the nuisance explains completely, is rounding error. It
    correlates with the nuisance, and so with truth, and a probe would read it; therefore it is set to 0.
    """
    design = np.column_stack([np.ones(len(nuisance)), nuisance])
    exact = values.astype(np.float64)
    rest: Array = exact - design @ np.linalg.lstsq(design, exact, rcond=None)[0]
    rest[:, np.abs(rest).max(axis=0) <= 1e-6 * np.abs(exact).max(axis=0)] = 0.0
    return rest
