"""Intervals are the published ones, and cover as often as they say."""

import numpy as np
import pytest
from scipy.stats import norm

from thoughtscope.statistics import (
    bootstrap_interval,
    exact_interval,
    half_sample_interval,
    paired_difference_interval,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("correct", "n", "expected"),
    [  # Newcombe 1998, Statistics in Medicine 17: 857-872, table I, method 3
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_wilson_interval_gives_the_published_numbers(correct, n, expected):
    assert wilson_interval(correct, n, 0.95) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(
    ("correct", "n", "expected"),
    [  # the same table, method 5
        (81, 263, (0.2527, 0.3676)),
        (15, 148, (0.0578, 0.1617)),
        (0, 20, (0.0, 0.1684)),
        (1, 29, (0.0009, 0.1776)),
    ],
)
def test_exact_interval_gives_the_published_numbers(correct, n, expected):
    assert exact_interval(correct, n, 0.95) == pytest.approx(expected, abs=5e-5)


def test_paired_interval_is_that_of_agresti_and_min():
    """Counts of 2 x 2 cells plus .5 each, then Wald (Agresti and Min 2005, section 3)."""
    a = np.repeat([1, 1, 0, 0], [40, 15, 5, 40])
    b = np.repeat([1, 0, 1, 0], [40, 15, 5, 40])
    n, b_star, c_star = 102, 15.5, 5.5
    mean = (b_star - c_star) / n
    half = norm.ppf(0.975) * np.sqrt(b_star + c_star - (b_star - c_star) ** 2 / n) / n
    assert paired_difference_interval(a, b, 0.95) == pytest.approx((mean - half, mean + half))


def test_paired_interval_has_a_width_where_no_item_differs():
    low, high = paired_difference_interval(np.ones(50), np.ones(50), 0.95)
    assert low < 0 < high
    assert high < 0.1


def test_paired_interval_is_narrower_than_an_unpaired_one_where_items_agree():
    right = np.arange(200) % 2
    other = right.copy()
    other[:4] = 1
    paired = paired_difference_interval(other, right, 0.95)
    single = wilson_interval(int(right.sum()), 200, 0.95)
    assert paired[1] - paired[0] < (single[1] - single[0]) / 2


def test_paired_interval_refuses_scores_of_different_items():
    with pytest.raises(ValueError, match="same items"):
        paired_difference_interval([1, 0], [1, 0, 1], 0.95)


def test_bootstrap_of_a_mean_agrees_with_the_normal_interval():
    values = np.random.default_rng(0).normal(3, 2, size=400)
    low, high = bootstrap_interval(lambda rows: values[rows].mean(), 400, 0.9, resamples=4000)
    half = norm.ppf(0.95) * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)


def test_bootstrap_is_the_same_for_the_same_seed_and_another_for_another():
    values = np.random.default_rng(0).normal(size=50)

    def interval(seed):
        return bootstrap_interval(lambda rows: values[rows].mean(), 50, 0.95, 200, seed)

    assert interval(1) == interval(1)
    assert interval(1) != interval(2)


def test_bootstrap_takes_several_statistics_at_once():
    values = np.random.default_rng(0).normal(size=(60, 3))
    low, high = bootstrap_interval(lambda rows: values[rows].mean(axis=0), 60, 0.95)
    assert low.shape == high.shape == (3,)
    assert (low < high).all()


def test_half_samples_estimate_the_standard_error_of_a_mean():
    values = np.random.default_rng(0).normal(size=300)
    value, low, high = half_sample_interval(lambda rows: values[rows].mean(), 300, 0.95, resamples=4000)
    expected = 2 * norm.ppf(0.975) * values.std(ddof=1) / np.sqrt(300)
    assert value == pytest.approx(values.mean())
    assert high - low == pytest.approx(expected, rel=0.05)


def test_half_samples_repeat_no_item():
    seen = []
    half_sample_interval(lambda rows: seen.append(rows) or 0.0, 21, 0.95, resamples=5)
    assert [len(set(rows)) for rows in seen] == [21, 10, 10, 10, 10, 10]
