"""Cells: the vectors of one run, kind and step k, one row a question. What the tables of hidden states compare.

Reads the last stored checkpoint. Knows nothing about the statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thoughtscope.hidden_states.read import Kind, describe_states, read_vectors

KINDS: tuple[Kind, ...] = ("input", "output")
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Cell:
    """Vectors `[n, width]` of `n` questions and, row for row, the vectors one step earlier.

    Attributes:
        step: k of the k-th latent; None for text tokens.
        questions: their ids, sorted.
        previous: at latent k-1 of the same response (of text: at the token before); NaN where there is none.
    """

    step: int | None
    questions: NDArray[np.object_]
    vectors: Vectors
    previous: Vectors

    def __len__(self) -> int:
        return len(self.questions)

    def take(self, rows: NDArray[np.intp]) -> Cell:
        """Return the cell with only these rows."""
        return Cell(self.step, self.questions[rows], self.vectors[rows], self.previous[rows])

    def sample(self, n: int, seed: int) -> Cell:
        """Return `n` of the questions, drawn without replacement, or all if there are no more."""
        if n >= len(self):
            return self
        return self.take(np.sort(np.random.default_rng(seed).permutation(len(self))[:n]))


@dataclass(frozen=True)
class RunCells:
    """Everything the tables need of one run and kind.

    Attributes:
        layer: of kind output the one after the final norm, else None.
        examples: how many questions were answered.
        text_mean: mean of all stored text tokens' vectors `[width]`, or None where none are stored.
        latents: one cell for each step k = 1, 2, ...
        text: one text token of each question that follows another one, drawn with the seed, or None.
    """

    kind: Kind
    layer: int | None
    checkpoint: int
    examples: int
    embedding_norm: float
    text_mean: NDArray[np.float64] | None
    latents: list[Cell]
    text: Cell | None


def read_cells(folder: Path, kind: Kind, seed: int) -> RunCells:
    """Return the cells of `results/hidden_states/<run>` for its last checkpoint."""
    about = describe_states(folder)
    checkpoint = max(about["checkpoints"])
    layer = int(about["final_norm_layer"]) if kind == "output" else None
    text, text_mean = _text(folder, kind, layer, checkpoint, seed)
    return RunCells(
        kind=kind,
        layer=layer,
        checkpoint=checkpoint,
        examples=int(about["examples"]),
        embedding_norm=float(about["embedding_norm"]),
        text_mean=text_mean,
        latents=list(_latents(folder, kind, layer, checkpoint)),
        text=text,
    )


def _latents(folder: Path, kind: Kind, layer: int | None, checkpoint: int) -> Iterator[Cell]:
    """Yield steps 1, 2, ...: a response that has a k-th latent has all those before it."""
    before: Cell | None = None
    step = 1
    while True:
        vectors, frame = read_vectors(folder, kind, layer, step, checkpoint)
        if frame.empty:
            return
        order = np.argsort(frame["example_id"].to_numpy(), kind="stable")
        questions, vectors = frame["example_id"].to_numpy(dtype=object)[order], vectors[order]
        before = Cell(step, questions, vectors, _same_questions(before, questions, vectors))
        yield before
        step += 1


def _same_questions(before: Cell | None, questions: NDArray[np.object_], like: Vectors) -> Vectors:
    """Return the vectors of `before` for these questions, NaN where it has none."""
    found = np.full_like(like, np.nan)
    if before is not None:
        _, here, there = np.intersect1d(questions, before.questions, assume_unique=True, return_indices=True)
        found[here] = before.vectors[there]
    return found


def _text(
    folder: Path, kind: Kind, layer: int | None, checkpoint: int, seed: int
) -> tuple[Cell | None, NDArray[np.float64] | None]:
    latent: Literal["text"] = "text"
    vectors, frame = read_vectors(folder, kind, layer, latent, checkpoint)
    if frame.empty:
        return None, None
    place = pd.Series(np.arange(len(frame)), index=pd.MultiIndex.from_frame(frame[["example_id", "position"]]))
    ahead = pd.MultiIndex.from_arrays([frame["example_id"], frame["position"] - 1])
    earlier = place.reindex(ahead).to_numpy()
    eligible = frame[~np.isnan(earlier)]
    if eligible.empty:
        return None, vectors.mean(axis=0, dtype=np.float64)
    drawn = eligible.groupby("example_id").sample(1, random_state=seed).sort_values("example_id").index.to_numpy()
    before = earlier[drawn].astype(np.intp)
    cell = Cell(None, frame["example_id"].to_numpy(dtype=object)[drawn], vectors[drawn], vectors[before])
    return cell, vectors.mean(axis=0, dtype=np.float64)


def unit_rows(vectors: NDArray[Any]) -> NDArray[Any]:
    """Return the rows scaled to length 1; a row of zeros stays."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)
