"""Intervals of means over seeds and test sets: they are to hold for other items and for other seeds.

Every seed is measured on the same items, so pooling them would count each item several times and leave out that seeds
differ. Chances that are independent add in squares: an interval's half-width over each set's items, and Student's over
the seeds (Zou and Donner 2008). One seed tells nothing about others: its interval holds for other items alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from thoughtscope.evaluation.statistics import paired_difference_interval, wilson_interval

Interval = tuple[float, float]


def accuracy_interval(sets: Sequence[tuple[ArrayLike, int]], confidence: float) -> Interval:
    """Return the interval of a mean accuracy; of one set and one seed it is Wilson's.

    Args:
        sets: of each test set every seed's accuracy, seeds in one order, and the number of its items.
    """
    seeds = np.array([each for each, _ in sets], dtype=np.float64)
    numbers = [n for _, n in sets]
    within = [wilson_interval(round(a * n), n, confidence) for a, n in zip(seeds.mean(axis=1), numbers, strict=True)]
    low, high = _of_mean(seeds, within, confidence)
    return max(low, 0.0), min(high, 1.0)


def difference_interval(
    sets: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]], confidence: float
) -> tuple[float, Interval]:
    """Return the mean of ``a - b`` and its interval, paired by item and seed.

    Args:
        sets: of each test set the scores of both, ``[items, seeds]``, in one order.
    """
    seeds = np.array([(a - b).mean(axis=0) for a, b in sets])
    within = [paired_difference_interval(a.mean(axis=1), b.mean(axis=1), confidence) for a, b in sets]
    low, high = _of_mean(seeds, within, confidence)
    return float(seeds.mean()), (max(low, -1.0), min(high, 1.0))


def _of_mean(values: NDArray[np.float64], within: Sequence[Interval], confidence: float) -> Interval:
    """Return the interval of the mean of `values` ``[sets, seeds]``; `within` holds over each set's items."""
    if values.size == 1:
        return within[0]
    count, seeds = values.shape
    halves = np.abs(np.array(within) - values.mean(axis=1, keepdims=True))
    below, above = np.linalg.norm(halves, axis=0) / count
    between = 0.0
    if seeds > 1:
        spread = values.mean(axis=0).std(ddof=1) / np.sqrt(seeds)
        between = float(student.ppf((1 + confidence) / 2, seeds - 1) * spread)
    mean = values.mean()
    return float(mean - np.hypot(below, between)), float(mean + np.hypot(above, between))
