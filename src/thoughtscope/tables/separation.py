"""separation.csv: the distance between the latents of different methods, and between successive latents of one method.

Any two trained networks differ, so each distance has a floor to compare it with: the same distance between two seeds of
one method. Whether latents differ within a method is in `collapse`.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thoughtscope.errors import UserError
from thoughtscope.run_id import RunId
from thoughtscope.statistics import half_sample_interval
from thoughtscope.tables.base import Table
from thoughtscope.tables.cells import KINDS, Cell, RunCells, Sampling, read_cells, unit_rows
from thoughtscope.tables.identity import as_table, named, run_of

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Row = dict[str, Any]


@dataclass(frozen=True)
class Group:
    """Runs that are compared with each other, the kind of their vectors, and how these are processed."""

    runs: dict[RunId, RunCells]
    unit_norm: bool
    questions: str

    def cells(self, step: int) -> dict[RunId, Cell]:
        """Return the cell of latent k of each run that has one."""
        found = {run: cells.latents[step - 1] for run, cells in self.runs.items() if step <= len(cells.latents)}
        if self.questions == "common":
            both = set.intersection(*(set(cell.questions) for cell in found.values()))
            found = {run: cell.take(_places(cell, both)) for run, cell in found.items()}
        return {run: _unit(cell) for run, cell in found.items()} if self.unit_norm else found


class Separation(Table):
    """The distance between the latents of methods, with the distance between two seeds of one method."""

    READS = "hidden_states"
    DEFAULT = True
    Settings = Sampling
    COLUMNS = [
        "measure",
        "other",
        "other_seed",
        "kind",
        "layer",
        "unit_norm",
        "questions",
        "latent_index",
        "n",
        "n_other",
        "value",
        "ci_low",
        "ci_high",
        "floor",
        "floor_lowest",
        "floor_highest",
        "floor_pairs",
    ]
    CAPTION = """
    How far apart methods' latents lie at each step k (distance of centroids over the spread within, silhouette) and
    how far one method's latents move from step to step, on all questions and on those where all methods reach the
    step, with intervals over questions. Any two trained networks differ: ``floor`` is the same measure between two
    seeds of one method. Where it is empty, the study has one seed, and no distance between methods can be called
    large.
    """
    settings: Sampling

    def make(self, folders: Sequence[Path]) -> pd.DataFrame:
        """Return one row for each measure, method (and other method), kind and latent k of each group of runs.

        A group has the methods of one task, backbone, trainable and seed, or the seeds of one method; widths agree.

        - `distance`: between the centroids of `method` and `other` at latent k, divided by the spread within: the root
          of the mean of both runs' mean squared distance to their centroid. The bias of finite samples is subtracted
          from the squared distance, so two samples of one distribution give about 0.
        - `silhouette`: of the vectors of the two runs at latent k (Rousseeuw 1987), -1 to 1.
        - `movement`: between the centroids of one method at latents k-1 and k, over the questions with a k-th latent,
          with the same scaling; `other` is empty.
        - other, other_seed: what `method` and `seed` are compared with. If `other` is the method itself, the row
          compares two of its seeds.
        - floor, floor_lowest, floor_highest: mean and range of the same measure over the `floor_pairs` pairs of seeds
          of `method` and of `other`. A distance that does not exceed the floor is no evidence that the methods differ.
          Empty if neither method has two seeds.
        - unit_norm: whether vectors were first scaled to length 1 (normed states and fused vectors differ in scale).
        - questions: `all` with a k-th latent, or those that have one in every run of the group that has any (`common`;
          left out where both are the same).
        - n, n_other: number of vectors, at most 256. A cell with fewer than 50 questions (or half of all questions, if
          that is less) has no value. ci_low, ci_high: delete-half jackknife interval over questions.
        """
        rows = [row for kind in KINDS for row in _rows(folders, kind, self.settings)]
        labels = ({"label": self.methods.get(row["method"], row["method"])} for row in rows)
        return as_table((row | label for row, label in zip(rows, labels, strict=True)), self.COLUMNS)


def _rows(folders: Sequence[Path], kind: Any, settings: Sampling) -> list[Row]:
    read = {run_of(folder): read_cells(folder, kind, settings.seed) for folder in folders}
    methods = [row for group in _groups(read, by_method=False) for row in _group_rows(group, settings)]
    seeds = [row for group in _groups(read, by_method=True) for row in _group_rows(group, settings) if "other" in row]
    floors = _floors(seeds)
    return [row | _floor(row, floors) for row in methods] + seeds


def _groups(read: dict[RunId, RunCells], by_method: bool) -> Iterator[Group]:
    """Yield the runs that differ in their method alone (`by_method`: in their seed), in each way to compare them."""

    def alike(run: RunId) -> tuple[str | int, ...]:
        return run.task, run.backbone, run.trainable, run.method if by_method else run.seed

    for _, found in itertools.groupby(sorted(read, key=alike), key=alike):
        runs = {run: read[run] for run in sorted(found)}
        _check_widths(runs)
        for unit_norm, questions in itertools.product((False, True), ("all", "common")):
            yield Group(runs, unit_norm, questions)


def _check_widths(runs: dict[RunId, RunCells]) -> None:
    widths = {run: cells.latents[0].vectors.shape[1] for run, cells in runs.items() if cells.latents}
    if len(set(widths.values())) > 1:
        listed = ", ".join(f"{run.path} {width}" for run, width in widths.items())
        raise UserError("separation", f"vectors of different widths: {listed}", "extract these runs again")


def _floors(seeds: Sequence[Row]) -> dict[tuple[Any, ...], list[float]]:
    """Return the distances between seeds of one method, by measure, method, kind and latent."""
    found: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for row in seeds:
        if "value" in row:
            found[_measured(row, row["method"], row["questions"])].append(row["value"])
    return found


def _measured(row: Row, method: str, questions: str) -> tuple[Any, ...]:
    columns = ("task", "backbone", "trainable", "measure", "kind", "unit_norm", "latent_index")
    return (*(row[column] for column in columns), method, questions)


def _floor(row: Row, floors: dict[tuple[Any, ...], list[float]]) -> Row:
    """Return the columns `floor*` of a row that compares two methods."""
    if "other" not in row:
        return {}
    values = [value for name in (row["method"], row["other"]) for value in _of_seeds(row, name, floors)]
    if not values:
        return {"floor_pairs": 0}
    ends = {"floor_lowest": min(values), "floor_highest": max(values)}
    return {"floor": float(np.mean(values)), **ends, "floor_pairs": len(values)}


def _of_seeds(row: Row, method: str, floors: dict[tuple[Any, ...], list[float]]) -> list[float]:
    """Return the distances between seeds of a method; on all questions if all of them are common."""
    common = floors.get(_measured(row, method, row["questions"]), [])
    return common or floors.get(_measured(row, method, "all"), [])


def _group_rows(group: Group, settings: Sampling) -> Iterator[Row]:
    most = max((len(cells.latents) for cells in group.runs.values()), default=0)
    everything = replace(group, questions="all")
    for step in range(1, most + 1):
        found, whole = group.cells(step), everything.cells(step)
        if group.questions == "common" and all(len(found[run]) == len(whole[run]) for run in found):
            continue
        enough = settings.enough(min(cells.examples for cells in group.runs.values()))
        chosen = {run: cell.sample(settings.most, settings.seed) for run, cell in found.items()}
        common = {
            "kind": next(iter(group.runs.values())).kind,
            "layer": next(iter(group.runs.values())).layer,
            "unit_norm": group.unit_norm,
            "questions": group.questions,
            "latent_index": step,
        }
        for one, other in itertools.combinations(chosen, 2):
            facts = {**named(one, {}), **common, "other": other.method, "other_seed": other.seed}
            facts |= {"n": len(chosen[one]), "n_other": len(chosen[other])}
            pair = Pair(chosen[one], chosen[other])
            fits = min(facts["n"], facts["n_other"]) >= enough
            n = len(pair.universe)
            yield {**facts, "measure": "distance", **_root(_interval(pair.squared_distance, n, fits, settings))}
            yield {**facts, "measure": "silhouette", **_interval(pair.silhouette, n, fits, settings)}
        for run, cell in chosen.items() if step > 1 else ():
            facts = {**named(run, {}), **common, "measure": "movement", "n": len(cell)}
            yield facts | _root(_interval(_squared_movement(cell), len(cell), len(cell) >= enough, settings))


def _interval(
    statistic: Callable[[NDArray[np.intp]], float], n: int, fits: bool, settings: Sampling
) -> dict[str, float]:
    if not fits:
        return {}
    value, low, high = half_sample_interval(statistic, n, settings.confidence, settings.resamples, settings.seed)
    return {"value": float(value), "ci_low": float(low), "ci_high": float(high)}


def _root(squares: dict[str, float]) -> dict[str, float]:
    """Return the roots of squared distances; an estimate below 0 counts as 0."""
    return {name: float(np.sqrt(max(square, 0.0))) for name, square in squares.items()}


class Pair:
    """The cells of two runs. Its statistics take indices of questions, so that resampling draws a question for both."""

    def __init__(self, one: Cell, other: Cell) -> None:
        self.one, self.other = one.vectors.astype(np.float64), other.vectors.astype(np.float64)
        self.universe = np.union1d(one.questions, other.questions)
        self.places = [np.searchsorted(self.universe, cell.questions) for cell in (one, other)]
        both = np.concatenate([self.one, self.other])
        self.distances = _distances(both)

    def squared_distance(self, questions: NDArray[np.intp]) -> float:
        """Return the squared distance of the centroids, divided by the squared spread within, for ``questions [m]``."""
        drawn = self._rows(questions)
        one, other = self.one[drawn[0]], self.other[drawn[1]]
        if min(len(one), len(other)) < 2:
            return float("nan")
        places = (self.places[0][drawn[0]], self.places[1][drawn[1]])
        _, here, there = np.intersect1d(*places, assume_unique=True, return_indices=True)
        return squared_distance(one, other, shared_covariance(one[here], other[there]) * len(here))

    def silhouette(self, questions: NDArray[np.intp]) -> float:
        """Return the mean silhouette of the vectors of both runs, for ``questions [m]``."""
        return silhouette(self.distances, self._rows(questions))

    def _rows(self, questions: NDArray[np.intp]) -> tuple[Mask, Mask]:
        drawn = np.zeros(len(self.universe), dtype=bool)
        drawn[questions] = True
        return drawn[self.places[0]], drawn[self.places[1]]


def _distances(vectors: Array) -> Array:
    """Return the distances ``[n, n]`` between all rows of ``vectors [n, width]``."""
    from scipy.spatial.distance import cdist

    found: Array = cdist(vectors, vectors)
    return found


def shared_covariance(one: Array, other: Array) -> float:
    """Return the covariance of two samples ``[n, width]`` of the same questions, summed over the entries."""
    if len(one) < 2:
        return 0.0
    return float(np.sum((one - one.mean(axis=0)) * (other - other.mean(axis=0))) / (len(one) - 1))


def squared_distance(one: Array, other: Array, shared: float = 0.0) -> float:
    """Return the squared distance of the means of two samples ``[n, width]``, divided by the squared spread within.

    The squared distance of sample means exceeds the true one by ``s1 / n1 + s2 / n2 - 2 shared / (n1 n2)`` in
    expectation, which is subtracted (s: the total variance of a sample).

    Args:
        shared: the covariance, summed over the questions that are in both samples; 0 for independent samples.
    """
    spread = [float(part.var(axis=0, ddof=1).sum()) for part in (one, other)]
    squared = float(np.square(one.mean(axis=0) - other.mean(axis=0)).sum())
    squared -= spread[0] / len(one) + spread[1] / len(other) - 2 * shared / (len(one) * len(other))
    return squared / max(sum(spread) / 2, float(np.finfo(float).tiny))


def silhouette(distances: Array, drawn: tuple[Mask, Mask]) -> float:
    """Return the mean silhouette (Rousseeuw 1987) of two clusters; NaN where one has fewer than two points.

    Equals `sklearn.metrics.silhouette_score`, which would copy the distances for each resample.

    Args:
        distances: between all points, those of the first cluster first, ``[n1 + n2, n1 + n2]``.
        drawn: which points count, ``[n1]`` and ``[n2]``.
    """
    sizes = [int(mask.sum()) for mask in drawn]
    if min(sizes) < 2:
        return float("nan")
    split = len(drawn[0])
    members = np.zeros((len(distances), 2))
    members[:split, 0], members[split:, 1] = drawn
    sums = distances @ members
    within = np.concatenate([sums[:split, 0] / (sizes[0] - 1), sums[split:, 1] / (sizes[1] - 1)])
    between = np.concatenate([sums[:split, 1] / sizes[1], sums[split:, 0] / sizes[0]])
    longer = np.maximum(within, between)
    scores = np.where(longer > 0, between - within, 0.0) / np.where(longer > 0, longer, 1.0)
    return float(scores[np.concatenate(drawn)].mean())


def _squared_movement(cell: Cell) -> Callable[[NDArray[np.intp]], float]:
    """Return the squared statistic `movement` of a cell: `squared_distance` for pairs of the same question."""
    now, before = cell.vectors.astype(np.float64), cell.previous.astype(np.float64)

    def movement(rows: NDArray[np.intp]) -> float:
        moved = now[rows] - before[rows]
        squared = float(np.square(moved.mean(axis=0)).sum() - moved.var(axis=0, ddof=1).sum() / len(rows))
        spread = (now[rows].var(axis=0, ddof=1).sum() + before[rows].var(axis=0, ddof=1).sum()) / 2
        return float(squared / max(spread, np.finfo(float).tiny))

    return movement


def _places(cell: Cell, questions: set[Any]) -> NDArray[np.intp]:
    return np.flatnonzero([question in questions for question in cell.questions])


def _unit(cell: Cell) -> Cell:
    return replace(cell, vectors=unit_rows(cell.vectors), previous=unit_rows(cell.previous))
