"""Intervals and resampling: numbers in, numbers out."""

from __future__ import annotations

from scipy.stats import binomtest


def wilson_interval(correct: int, n: int, confidence: float) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion (Wilson 1927)."""
    interval = binomtest(correct, n).proportion_ci(confidence_level=confidence, method="wilson")
    return float(interval.low), float(interval.high)
