"""Confidence intervals and resampling, as functions of arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Statistic = Callable[[NDArray[np.intp]], Any]


def wilson_interval(correct: int, n: int, confidence: float) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion (Wilson 1927), whose coverage is right on average."""
    return _proportion(correct, n, confidence, "wilson")


def exact_interval(correct: int, n: int, confidence: float) -> tuple[float, float]:
    """Return the exact interval of a proportion (Clopper and Pearson 1934), with at least the nominal coverage."""
    return _proportion(correct, n, confidence, "exact")


@lru_cache(maxsize=4096)
def _proportion(correct: int, n: int, confidence: float, method: str) -> tuple[float, float]:
    from scipy.stats import binomtest  # takes a second, and the config imports this module

    interval = binomtest(correct, n).proportion_ci(confidence_level=confidence, method=method)
    return float(interval.low), float(interval.high)


def paired_difference_interval(a: ArrayLike, b: ArrayLike, confidence: float) -> tuple[float, float]:
    """Return the interval of the mean of ``a - b`` for scores ``a [n]`` and ``b [n]`` in [0, 1] of the same items.

    This is the Wald interval after adding half an item to each cell of the 2 x 2 table of right and wrong (Agresti and
    Min 2005): half a difference of +1, half of -1, and one of 0. In this form it extends to scores between 0 and 1. Its
    width is positive even if no item differs.

    Raises:
        ValueError: the numbers of items differ, or are 0.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1 or len(first) == 0:
        raise ValueError(f"scores of the same items are needed, not of shapes {first.shape} and {second.shape}")
    difference = first - second
    n = len(difference) + 2
    mean = difference.sum() / n
    variance = (np.square(difference).sum() + 1) / n - mean**2
    half = _quantile(confidence) * np.sqrt(variance / n)
    return float(max(mean - half, -1.0)), float(min(mean + half, 1.0))


def bootstrap_interval(
    statistic: Statistic, n: int, confidence: float, resamples: int = 1000, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the percentile bootstrap interval (Efron 1979) of a statistic, or of several at once.

    Args:
        statistic: maps the indices of `n` items, drawn with replacement, to a number or an array; resamples with NaN
            are left out.
        n: number of items. Items are independent units: questions, subjects or responses, never parts of them.

    Returns:
        The lower and upper ends, each with the shape of the statistic.
    """
    rng = np.random.default_rng(seed)
    drawn = np.array([statistic(rng.integers(n, size=n)) for _ in range(resamples)], dtype=np.float64)
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(drawn, [tail, 1 - tail], axis=0)
    return low, high


def half_sample_interval(
    statistic: Statistic, n: int, confidence: float, resamples: int = 200, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the value and the interval of a statistic that repeated items would bias, or of several at once.

    The delete-half jackknife (Shao and Wu 1989): the standard deviation of the statistic over random halves of the
    items, drawn without replacement, estimates its standard error with `n` items. A bootstrap sample repeats items,
    which lowers a rank and raises a mean pairwise cosine similarity; a half repeats none.

    Args:
        statistic: maps the indices of items to a number or an array.
        n: number of items, at least four.

    Returns:
        The value, the lower and the upper end, each with the shape of the statistic.
    """
    rng = np.random.default_rng(seed)
    value = np.asarray(statistic(np.arange(n)), dtype=np.float64)
    halves = np.array([statistic(rng.permutation(n)[: n // 2]) for _ in range(resamples)], dtype=np.float64)
    half = _quantile(confidence) * np.std(halves, axis=0, ddof=1)
    return value, value - half, value + half


def _quantile(confidence: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf((1 + confidence) / 2))
