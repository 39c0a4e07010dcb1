"""How many seeds solve a task, and confidence intervals that account for the variance of both items and seeds.

All seeds are measured on the same items. Pooling them would count each item several times and ignore that seeds differ.
Instead, the half-widths of the intervals over items and over seeds are combined in quadrature (Zou and Donner 2008).

Accuracies of seeds are rarely normal: a run either solves its task or it does not, and three seeds that agree do not
show that a fourth does, too. Student's t interval then covers the mean of all seeds in 27 % of studies instead of 95 %.
Therefore, if runs solve or fail, the interval over seeds is at least as wide as that of a mixture: the exact interval
(Clopper and Pearson 1934) of the share of seeds that solve, with the observed mean accuracy of those that solve (or 1)
and of those that do not (or 0). The interval of a single seed is over items only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thoughtscope.statistics import exact_interval, paired_difference_interval, wilson_interval

Interval = tuple[float, float]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Solved:
    """How many of `seeds` seeds solve their task.

    Attributes:
        low, high: the Wilson interval of the share of seeds that solve it.
        accuracy: mean accuracy of the seeds that solve it; NaN if there are none.
    """

    count: int
    seeds: int
    low: float
    high: float
    accuracy: float

    @property
    def text(self) -> str:
        """Return the count and the interval as figures and pages print them: ``4/5 [.38, .96]``."""
        return f"{self.count}/{self.seeds} [{short(self.low)}, {short(self.high)}]"


def short(share: float) -> str:
    """Return a share from 0 to 1 with two decimals and without leading zero, e.g. ``.38``."""
    return f"{share:.2f}".removeprefix("0")


def solved(accuracies: ArrayLike, solved_at: float, confidence: float) -> Solved:
    """Count the seeds whose accuracy is at least `solved_at`."""
    seeds = np.asarray(accuracies, dtype=np.float64)
    good = seeds >= solved_at
    low, high = wilson_interval(int(good.sum()), len(seeds), confidence)
    accuracy = float(seeds[good].mean()) if good.any() else float("nan")
    return Solved(int(good.sum()), len(seeds), low, high, accuracy)


def accuracy_interval(
    sets: Sequence[tuple[ArrayLike, int]], confidence: float, solved_at: float | None = None
) -> Interval:
    """Return the interval of a mean accuracy; for one set and one seed it is the Wilson interval.

    Args:
        sets: for each test set, the accuracies ``[seeds]`` in the same order of seeds, and the number of items.
        solved_at: the accuracy from which a seed solves the task; None: seeds do not either solve it or fail.
    """
    seeds = np.array([each for each, _ in sets], dtype=np.float64)
    numbers = [n for _, n in sets]
    within = [wilson_interval(round(a * n), n, confidence) for a, n in zip(seeds.mean(axis=1), numbers, strict=True)]
    values = seeds.mean(axis=0)
    reach = _student(values, confidence)
    if solved_at is not None:
        reach = np.maximum(reach, _mixture(values, confidence, solved_at))
    low, high = _of_mean(seeds, within, reach)
    return max(low, 0.0), min(high, 1.0)


def difference_interval(
    sets: Sequence[tuple[Values, Values]], confidence: float, solved_at: float | None = None
) -> tuple[float, Interval]:
    """Return the mean of ``a - b`` and its interval, paired by item and seed.

    Args:
        sets: for each test set, the scores a and b, both ``[items, seeds]`` in the same order.
        solved_at: as in `accuracy_interval`.
    """
    seeds = np.array([(a - b).mean(axis=0) for a, b in sets])
    within = [paired_difference_interval(a.mean(axis=1), b.mean(axis=1), confidence) for a, b in sets]
    reach = _student(seeds.mean(axis=0), confidence)
    if solved_at is not None:
        a, b = (np.mean([one[i].mean(axis=0) for one in sets], axis=0) for i in (0, 1))
        apart = np.hypot(_mixture(a, confidence, solved_at), _mixture(b, confidence, solved_at)[::-1])
        reach = np.maximum(reach, apart)
    low, high = _of_mean(seeds, within, reach)
    return float(seeds.mean()), (max(low, -1.0), min(high, 1.0))


def _student(values: Values, confidence: float) -> Values:
    """Return the distances ``[2]`` from the mean of ``values [seeds]`` to the ends of its Student's t interval."""
    if len(values) == 1:
        return np.zeros(2)
    from scipy.stats import t as student  # takes a second, and the config imports this module

    half = student.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return np.full(2, half)


def _mixture(values: Values, confidence: float, solved_at: float) -> Values:
    """Return the distances ``[2]`` from the mean of ``values [seeds]`` to the ends of the interval of the mixture."""
    if len(values) == 1:
        return np.zeros(2)
    good = values >= solved_at
    share = exact_interval(int(good.sum()), len(values), confidence)
    top = values[good].mean() if good.any() else 1.0
    bottom = values[~good].mean() if not good.all() else 0.0
    ends = [bottom + p * (top - bottom) for p in share]
    return np.maximum([values.mean() - ends[0], ends[1] - values.mean()], 0.0)


def _of_mean(values: Values, within: Sequence[Interval], reach: Values) -> Interval:
    """Return the interval of the mean of ``values [sets, seeds]``.

    Args:
        within: for each set, the interval over its items.
        reach: ``[2]``, the distances from the mean to the ends of the interval over seeds.
    """
    if values.size == 1:
        return within[0]
    halves = np.abs(np.array(within) - values.mean(axis=1, keepdims=True))
    below, above = np.hypot(np.linalg.norm(halves, axis=0) / len(values), reach)
    return float(values.mean() - below), float(values.mean() + above)
