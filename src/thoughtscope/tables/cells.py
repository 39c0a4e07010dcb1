"""Cells: the vectors at the k-th latent of one run, one row for each question, which tables of hidden states compare.

Reads the last stored checkpoint, and computes no statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from thoughtscope.evaluation.settings import Intervals
from thoughtscope.hidden_states.read import Kind, describe_states, read_vectors
from thoughtscope.hidden_states.roles import TEXT_ROLES
from thoughtscope.settings import Count, Positive


class Sampling(Intervals):
    """How many vectors a statistic of hidden states uses, and how its interval is resampled."""

    most: Positive = Field(256, description="largest number of vectors that a statistic uses")
    fewest: Positive = Field(
        50, description="smallest number of questions with a k-th latent for which statistics are computed"
    )
    resamples: Positive = Field(100, description="number of resamples for each interval")
    seed: Count = Field(0, description="seed of all resampling")

    def enough(self, examples: int) -> int:
        """Return how many of `examples` questions must have a k-th latent: `fewest`, or half of them if less."""
        return max(4, min(self.fewest, examples // 2))


KINDS: tuple[Kind, ...] = ("input", "output")
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Cell:
    """Vectors ``[n, width]`` of `n` questions and the vectors one latent earlier in the same responses.

    Attributes:
        step: k of the k-th latent; None for text tokens.
        role: of text tokens (`hidden_states.roles`); None for latents.
        questions: the ids of the questions, sorted, ``[n]``.
        vectors: for latents, the k-th of each response; for text, a random token of that role.
        previous: the vectors at latent k-1 (for text: at the token before), ``[n, width]``; NaN where there is none.
        following: for latents, the next text token of each response, ``[n]``; None for text.
    """

    step: int | None
    role: str | None
    questions: NDArray[np.object_]
    vectors: Vectors
    previous: Vectors
    following: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.questions)

    def take(self, rows: NDArray[np.intp]) -> Cell:
        """Return the cell with these rows only; `rows` are indices ``[m]``."""
        return Cell(
            self.step,
            self.role,
            self.questions[rows],
            self.vectors[rows],
            self.previous[rows],
            self.following[rows],
        )

    def sample(self, n: int, seed: int) -> Cell:
        """Return `n` questions, drawn without replacement, or all if there are at most `n`."""
        if n >= len(self):
            return self
        return self.take(np.sort(np.random.default_rng(seed).permutation(len(self))[:n]))

    def with_previous(self) -> Cell:
        """Return the rows that have a vector one latent earlier."""
        return self.take(np.flatnonzero(np.isfinite(self.previous).all(axis=1)))


@dataclass(frozen=True)
class RunCells:
    """Everything that the tables need of one run and kind of vector (`input` or `output`).

    Attributes:
        layer: for kind output, the one after the final norm; else None.
        examples: the number of questions.
        text_mean: mean ``[width]`` of the run's text tokens, each role weighted equally; None if none are stored.
        latents: one cell for each k = 1, 2, ...
        text: one cell for each role of text tokens.
    """

    kind: Kind
    layer: int | None
    checkpoint: int
    examples: int
    embedding_norm: float
    text_mean: NDArray[np.float64] | None
    latents: list[Cell]
    text: list[Cell]


def read_cells(folder: Path, kind: Kind, seed: int) -> RunCells:
    """Return the cells of `results/hidden_states/<run>` for its last checkpoint."""
    about = describe_states(folder)
    checkpoint = max(about["checkpoints"])
    layer = int(about["final_norm_layer"]) if kind == "output" else None
    vectors, frame = read_vectors(folder, kind, layer, "text", checkpoint)
    means = [vectors[(frame["role"] == role).to_numpy()].mean(axis=0, dtype=np.float64) for role in _roles(frame)]
    return RunCells(
        kind=kind,
        layer=layer,
        checkpoint=checkpoint,
        examples=int(about["examples"]),
        embedding_norm=float(about["embedding_norm"]),
        text_mean=np.mean(means, axis=0) if means else None,
        latents=list(_latents(folder, kind, layer, checkpoint)),
        text=list(_text(vectors, frame, seed)),
    )


def _roles(frame: pd.DataFrame) -> list[str]:
    there = set(frame["role"])
    return [role for role in TEXT_ROLES if role in there]


def _latents(folder: Path, kind: Kind, layer: int | None, checkpoint: int) -> Iterator[Cell]:
    """Yield the cells of k = 1, 2, ...; a response with a k-th latent also has all those before it."""
    before: Cell | None = None
    step = 1
    while True:
        vectors, frame = read_vectors(folder, kind, layer, step, checkpoint)
        if frame.empty:
            return
        order = np.argsort(frame["example_id"].to_numpy(), kind="stable")
        questions, vectors = frame["example_id"].to_numpy(dtype=object)[order], vectors[order]
        following = frame["next_token"].to_numpy(dtype=object)[order]
        before = Cell(step, None, questions, vectors, _same_questions(before, questions, vectors), following)
        yield before
        step += 1


def _same_questions(before: Cell | None, questions: NDArray[np.object_], like: Vectors) -> Vectors:
    """Return the vectors ``[questions, width]`` of `before` for these questions, NaN where it has none."""
    found = np.full_like(like, np.nan)
    if before is not None:
        _, here, there = np.intersect1d(questions, before.questions, assume_unique=True, return_indices=True)
        found[here] = before.vectors[there]
    return found


def _text(vectors: Vectors, frame: pd.DataFrame, seed: int) -> Iterator[Cell]:
    """Yield, for each role, one text token of each question that has one, drawn with the seed."""
    places = {place: row for row, place in enumerate(zip(frame["example_id"], frame["position"], strict=True))}
    for role in _roles(frame):
        drawn = frame[frame["role"] == role].groupby("example_id").sample(1, random_state=seed)
        rows = drawn.sort_values("example_id").index.to_numpy(dtype=np.intp)
        questions = frame["example_id"].to_numpy(dtype=object)[rows]
        yield Cell(
            None, role, questions, vectors[rows], _before(vectors, frame, rows, places), np.full(len(rows), None)
        )


def _before(
    vectors: Vectors, frame: pd.DataFrame, rows: NDArray[np.intp], places: Mapping[tuple[str, int], int]
) -> Vectors:
    """Return the vectors ``[rows, width]`` of the text tokens before `rows`, NaN where there is none."""
    found = np.full_like(vectors[rows], np.nan)
    names, at = frame["example_id"].to_numpy(dtype=object), frame["position"].to_numpy()
    for place, row in enumerate(rows):
        before = places.get((names[row], at[row] - 1))
        if before is not None:
            found[place] = vectors[before]
    return found


def unit_rows(vectors: NDArray[Any]) -> NDArray[Any]:
    """Return ``vectors [n, width]`` scaled to length 1; a row of zeros stays as it is."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)
