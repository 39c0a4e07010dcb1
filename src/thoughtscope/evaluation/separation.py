"""separation.csv: how far apart methods' latents lie, and how far one method's move from step to step.

Knows nothing about whether latents differ within a method (see `collapse`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from thoughtscope.config.run import Run
from thoughtscope.errors import UserError
from thoughtscope.evaluation.cells import KINDS, Cell, RunCells, read_cells, unit_rows
from thoughtscope.evaluation.identity import as_table, named, run_of
from thoughtscope.evaluation.settings import TableSettings
from thoughtscope.evaluation.statistics import half_sample_interval

COLUMNS = [
    "measure",
    "other",
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
]
Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Group:
    """Runs that differ in their method only, one kind of their vectors, and how it is looked at."""

    runs: dict[Run, RunCells]
    unit_norm: bool
    questions: str

    def cells(self, step: int) -> dict[Run, Cell]:
        """Return each run's cell of step k, for those that have one."""
        found = {run: cells.latents[step - 1] for run, cells in self.runs.items() if step <= len(cells.latents)}
        if self.questions == "common":
            both = set.intersection(*(set(cell.questions) for cell in found.values()))
            found = {run: cell.take(_places(cell, both)) for run, cell in found.items()}
        return {run: _unit(cell) for run, cell in found.items()} if self.unit_norm else found


def separation(folders: Sequence[Path], settings: TableSettings) -> pd.DataFrame:
    """Return one row for each measure, method (and other method), kind and step k of each group of runs.

    A group is the runs of one task, backbone, trainable and seed; their widths must agree.

    - `distance`: between the centroids of `method` and `other` at step k, over the spread within: the root of
      the mean of both methods' mean squared distance to their centroid. What finite samples add to the
      squared distance is taken away, so two samples of one distribution give about 0.
    - `silhouette`: of the two methods' vectors at step k (Rousseeuw 1987), -1 to 1.
    - `movement`: between the centroids of one method at steps k-1 and k, over the questions that reach k,
      with the same scaling; `other` is empty.
    - unit_norm: whether vectors were scaled to length 1 first (normed states and fused vectors differ in scale).
    - questions: `all` that reach step k, or only those where all methods that have a step k reach it (`common`;
      these rows are left out where it makes no difference).
    - n, n_other: vectors used, at most 256. A cell that fewer than 50 questions reach (or half of those asked,
      if that is less) has no value. Intervals: delete-half jackknife over questions.
    """
    rows = [row for kind in KINDS for row in _rows(folders, kind, settings)]
    return as_table(rows, COLUMNS)


def _rows(folders: Sequence[Path], kind: Any, settings: TableSettings) -> Iterator[dict[str, Any]]:
    read = {run_of(folder): read_cells(folder, kind, settings.seed) for folder in folders}
    for _, runs in itertools.groupby(sorted(read, key=_alike), key=_alike):
        group = Group({run: read[run] for run in sorted(runs)}, unit_norm=False, questions="all")
        _check_widths(group)
        for unit_norm, questions in itertools.product((False, True), ("all", "common")):
            yield from _group_rows(replace(group, unit_norm=unit_norm, questions=questions), settings)


def _alike(run: Run) -> tuple[str, str, str, int]:
    return run.task, run.backbone, run.trainable, run.seed


def _check_widths(group: Group) -> None:
    widths = {run: cells.latents[0].vectors.shape[1] for run, cells in group.runs.items() if cells.latents}
    if len(set(widths.values())) > 1:
        told = ", ".join(f"{run.path} {width}" for run, width in widths.items())
        raise UserError("separation", f"vectors of different widths: {told}", "extract these runs anew")


def _group_rows(group: Group, settings: TableSettings) -> Iterator[dict[str, Any]]:
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
            facts = {**named(one, settings.methods), **common, "other": other.method}
            facts |= {"n": len(chosen[one]), "n_other": len(chosen[other])}
            pair = Pair(chosen[one], chosen[other])
            for name, statistic in (("distance", pair.distance), ("silhouette", pair.silhouette)):
                fits = min(facts["n"], facts["n_other"]) >= enough
                yield {**facts, "measure": name, **_interval(statistic, len(pair.universe), fits, settings)}
        for run, cell in chosen.items() if step > 1 else ():
            facts = {**named(run, settings.methods), **common, "measure": "movement", "n": len(cell)}
            yield facts | _interval(_movement(cell), len(cell), len(cell) >= enough, settings)


def _interval(
    statistic: Callable[[NDArray[np.intp]], float], n: int, fits: bool, settings: TableSettings
) -> dict[str, float]:
    if not fits:
        return {}
    value, low, high = half_sample_interval(statistic, n, settings.confidence, settings.resamples, settings.seed)
    return {"value": float(value), "ci_low": float(low), "ci_high": float(high)}


class Pair:
    """Two methods' cells; its statistics take indices of questions, so that a question is drawn for both."""

    def __init__(self, one: Cell, other: Cell) -> None:
        self.one, self.other = one.vectors.astype(np.float64), other.vectors.astype(np.float64)
        self.universe = np.union1d(one.questions, other.questions)
        self.places = [np.searchsorted(self.universe, cell.questions) for cell in (one, other)]
        both = np.concatenate([self.one, self.other])
        self.distances = cdist(both, both)

    def distance(self, questions: NDArray[np.intp]) -> float:
        """Return the distance of the centroids over the spread within."""
        one, other = (part[rows] for part, rows in zip((self.one, self.other), self._rows(questions), strict=True))
        return centroid_distance(one, other)

    def silhouette(self, questions: NDArray[np.intp]) -> float:
        """Return the mean silhouette of the two methods' vectors."""
        return silhouette(self.distances, self._rows(questions))

    def _rows(self, questions: NDArray[np.intp]) -> tuple[Mask, Mask]:
        drawn = np.zeros(len(self.universe), dtype=bool)
        drawn[questions] = True
        return drawn[self.places[0]], drawn[self.places[1]]


def centroid_distance(one: Array, other: Array) -> float:
    """Return the distance between the means of two samples `[n, width]` over the spread within.

    The squared distance of sample means exceeds the true one by ``s1 / n1 + s2 / n2`` in expectation (s: the
    samples' total variance), which is taken away; a negative rest counts as 0.
    """
    if min(len(one), len(other)) < 2:
        return float("nan")
    spread = [float(part.var(axis=0, ddof=1).sum()) for part in (one, other)]
    squared = float(np.square(one.mean(axis=0) - other.mean(axis=0)).sum())
    squared -= spread[0] / len(one) + spread[1] / len(other)
    return float(np.sqrt(max(squared, 0.0) / max(sum(spread) / 2, np.finfo(float).tiny)))


def silhouette(distances: Array, drawn: tuple[Mask, Mask]) -> float:
    """Return the mean silhouette (Rousseeuw 1987) of two clusters; NaN where one has fewer than two points.

    Equals `sklearn.metrics.silhouette_score`, which would copy the distances for every one of many resamples.

    Args:
        distances: between all points, those of the first cluster first, `[n1 + n2, n1 + n2]`.
        drawn: which points count, `[n1]` and `[n2]`.
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


def _movement(cell: Cell) -> Callable[[NDArray[np.intp]], float]:
    """Return the statistic `movement` of a cell: as `centroid_distance`, but for pairs of the same question."""
    now, before = cell.vectors.astype(np.float64), cell.previous.astype(np.float64)

    def movement(rows: NDArray[np.intp]) -> float:
        moved = now[rows] - before[rows]
        squared = float(np.square(moved.mean(axis=0)).sum() - moved.var(axis=0, ddof=1).sum() / len(rows))
        spread = (now[rows].var(axis=0, ddof=1).sum() + before[rows].var(axis=0, ddof=1).sum()) / 2
        return float(np.sqrt(max(squared, 0.0) / max(spread, np.finfo(float).tiny)))

    return movement


def _places(cell: Cell, questions: set[Any]) -> NDArray[np.intp]:
    return np.flatnonzero([question in questions for question in cell.questions])


def _unit(cell: Cell) -> Cell:
    return replace(cell, vectors=unit_rows(cell.vectors), previous=unit_rows(cell.previous))
