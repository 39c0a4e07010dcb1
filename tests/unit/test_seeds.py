"""Intervals over seeds and items hold what they say."""

from __future__ import annotations

import numpy as np
import pytest

from thoughtscope.evaluation.seeds import accuracy_interval, difference_interval
from thoughtscope.evaluation.statistics import paired_difference_interval, wilson_interval


def test_one_seed_on_one_set_has_the_interval_of_its_items() -> None:
    numbers = np.random.default_rng(0)
    a, b = numbers.random((2, 50, 1)) < 0.6
    assert accuracy_interval([([0.3], 50)], 0.95) == wilson_interval(15, 50, 0.95)
    mean, interval = difference_interval([(a.astype(float), b.astype(float))], 0.95)
    assert mean == pytest.approx(a.mean() - b.mean())
    assert interval == paired_difference_interval(a[:, 0], b[:, 0], 0.95)


def test_seeds_that_agree_do_not_make_items_more() -> None:
    assert accuracy_interval([([0.5] * 5, 100)], 0.95) == pytest.approx(wilson_interval(50, 100, 0.95))


def test_independent_sets_narrow_the_interval() -> None:
    one, two = accuracy_interval([([0.5], 100)], 0.95), accuracy_interval([([0.5], 100)] * 2, 0.95)
    assert two[1] - two[0] == pytest.approx((one[1] - one[0]) / np.sqrt(2))


@pytest.mark.parametrize(("seeds", "spread"), [(2, 0.8), (3, 0.8), (5, 0.0), (5, 0.3), (5, 1.5)])
def test_the_interval_covers_what_other_items_and_seeds_would_give(seeds: int, spread: float) -> None:
    """The truth is the mean over all seeds and items; 2,000 small studies of it, each with an interval of 95 %."""
    numbers, n, studies = np.random.default_rng(1), 60, 2000
    skill, ease = numbers.normal(0.5, spread, (studies, seeds, 1)), numbers.normal(0, 1.0, (studies, 1, n))
    right = numbers.random((studies, seeds, n)) < _chance(skill + ease)
    truth = _chance(numbers.normal(0.5, spread, 400_000) + numbers.normal(0, 1.0, 400_000)).mean()
    intervals = np.array([accuracy_interval([(one.mean(axis=1), n)], 0.95) for one in right])
    covered = np.mean((intervals[:, 0] <= truth) & (truth <= intervals[:, 1]))
    assert covered >= 0.94


def _chance(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))
