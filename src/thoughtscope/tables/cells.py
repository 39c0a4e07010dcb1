"""Cells: the vectors of one run, kind and step k, one row a question. What the tables of hidden states compare.

Reads the last stored checkpoint. Knows nothing about the statistics.
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
    """How many vectors a statistic of hidden states uses, and how its interval is found."""

    most: Positive = Field(256, description="vectors that a statistic uses at most")
    fewest: Positive = Field(50, description="questions that must reach a step before it gets numbers")
    resamples: Positive = Field(100, description="resamples behind an interval")
    seed: Count = Field(0, description="of all resampling")

    def enough(self, examples: int) -> int:
        """Return how many of `examples` questions must reach a step: `fewest`, or half of them if that is less."""
        return max(4, min(self.fewest, examples // 2))


KINDS: tuple[Kind, ...] = ("input", "output")
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Cell:
    """Vectors `[n, width]` of `n` questions and, row for row, the vectors one step earlier.

    Attributes:
        step: k of the k-th latent; None for text tokens.
        role: of text tokens (`hidden_states.roles`); None for latents.
        questions: their ids, sorted.
        vectors: of latents, the k-th of each response; of text, a random token of that role.
        previous: at latent k-1 of the same response (of text: at the token before); NaN where there is none.
        following: of latents, the token that comes next in the response's text; None of text.
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
        """Return the cell with only these rows."""
        return Cell(
            self.step,
            self.role,
            self.questions[rows],
            self.vectors[rows],
            self.previous[rows],
            self.following[rows],
        )

    def sample(self, n: int, seed: int) -> Cell:
        """Return `n` of the questions, drawn without replacement, or all if there are no more."""
        if n >= len(self):
            return self
        return self.take(np.sort(np.random.default_rng(seed).permutation(len(self))[:n]))

    def with_previous(self) -> Cell:
        """Return the rows that have a vector one step earlier."""
        return self.take(np.flatnonzero(np.isfinite(self.previous).all(axis=1)))


@dataclass(frozen=True)
class RunCells:
    """Everything the tables need of one run and kind.

    Attributes:
        layer: of kind output the one after the final norm, else None.
        examples: how many questions were answered.
        text_mean: mean of the run's text tokens `[width]`, each role counted once, or None where none are stored.
        latents: one cell for each step k = 1, 2, ...
        text: one cell for each role that text tokens have.
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
    """Yield steps 1, 2, ...: a response that has a k-th latent has all those before it."""
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
    """Return the vectors of `before` for these questions, NaN where it has none."""
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
    """Return the vectors of the text tokens before `rows`, NaN where a latent or nothing stands there."""
    found = np.full_like(vectors[rows], np.nan)
    names, at = frame["example_id"].to_numpy(dtype=object), frame["position"].to_numpy()
    for place, row in enumerate(rows):
        before = places.get((names[row], at[row] - 1))
        if before is not None:
            found[place] = vectors[before]
    return found


def unit_rows(vectors: NDArray[Any]) -> NDArray[Any]:
    """Return the rows scaled to length 1; a row of zeros stays."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)
