"""Intervals over seeds and items hold what they say."""

from __future__ import annotations

import numpy as np
import pytest

from thoughtscope.evaluation.seeds import accuracy_interval, difference_interval, solved
from thoughtscope.statistics import paired_difference_interval, wilson_interval


def test_one_seed_on_one_set_has_the_interval_of_its_items() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 50, 1)) < 0.6
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
    rng, n, studies = np.random.default_rng(1), 60, 2000
    skill, ease = rng.normal(0.5, spread, (studies, seeds, 1)), rng.normal(0, 1.0, (studies, 1, n))
    right = rng.random((studies, seeds, n)) < _chance(skill + ease)
    truth = _chance(rng.normal(0.5, spread, 400_000) + rng.normal(0, 1.0, 400_000)).mean()
    intervals = np.array([accuracy_interval([(one.mean(axis=1), n)], 0.95) for one in right])
    covered = np.mean((intervals[:, 0] <= truth) & (truth <= intervals[:, 1]))
    assert covered >= 0.94


SEED = 2
SHARES, SEEDS = (0.9, 0.8, 0.7, 0.5), (3, 5, 10)
SOLVED, FAILED, ITEMS, STUDIES = 0.998, 0.155, 512, 1000


def _studies(rng: np.random.Generator, share: float, seeds: int) -> np.ndarray:
    """Return the accuracies of `STUDIES` studies of runs that either solve their task or do not."""
    chances = np.where(rng.random((STUDIES, seeds)) < share, SOLVED, FAILED)
    return rng.binomial(ITEMS, chances) / ITEMS


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("share", SHARES)
def test_intervals_cover_runs_that_either_solve_their_task_or_do_not(share: float, seeds: int) -> None:
    """The table of the audit, in which Student's interval covers 27 to 97 % instead of 95 %."""
    print(f"seed {SEED}")
    truth = share * SOLVED + (1 - share) * FAILED
    studies = _studies(np.random.default_rng(SEED), share, seeds)
    intervals = np.array([accuracy_interval([(one, ITEMS)], 0.95, 0.95) for one in studies])
    assert np.mean((intervals[:, 0] <= truth) & (truth <= intervals[:, 1])) >= 0.95


@pytest.mark.parametrize("seeds", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("share", [0.98, 0.6, 0.4, 0.2, 0.03])
def test_they_cover_other_shares_and_numbers_of_seeds_as_well(share: float, seeds: int) -> None:
    test_intervals_cover_runs_that_either_solve_their_task_or_do_not(share, seeds)


def test_without_a_threshold_agreeing_seeds_are_taken_at_their_word() -> None:
    studies = _studies(np.random.default_rng(SEED), 0.9, 3)
    intervals = np.array([accuracy_interval([(one, ITEMS)], 0.95, None) for one in studies])
    truth = 0.9 * SOLVED + 0.1 * FAILED
    assert np.mean((intervals[:, 0] <= truth) & (truth <= intervals[:, 1])) < 0.4


@pytest.mark.parametrize(("first", "second"), [(0.9, 0.9), (0.9, 0.5), (0.8, 0.0), (1.0, 0.7), (0.5, 0.5)])
@pytest.mark.parametrize("seeds", [3, 5])
def test_differences_of_such_runs_are_covered_too(first: float, second: float, seeds: int) -> None:
    print(f"seed {SEED}")
    rng, n = np.random.default_rng(SEED), 100
    covered = 0
    for _ in range(300):
        chances = [np.where(rng.random(seeds) < share, SOLVED, FAILED) for share in (first, second)]
        a, b = ((rng.random((n, seeds)) < chance).astype(float) for chance in chances)
        _, (low, high) = difference_interval([(a, b)], 0.95, 0.95)
        covered += low <= (first - second) * (SOLVED - FAILED) <= high
    assert covered / 300 >= 0.95


@pytest.mark.parametrize(
    ("accuracies", "text"),
    [([1.0] * 5, "5/5 [.57, 1.00]"), ([0.95, 0.94, 1.0], "2/3 [.21, .94]"), ([0.1] * 4, "0/4 [.00, .49]")],
)
def test_seeds_that_solve_are_counted_with_wilsons_interval(accuracies: list[float], text: str) -> None:
    found = solved(accuracies, 0.95, 0.95)
    assert found.text == text
    assert (found.low, found.high) == wilson_interval(found.count, found.seeds, 0.95)
    good = [one for one in accuracies if one >= 0.95]
    assert found.accuracy == pytest.approx(np.mean(good)) if good else np.isnan(found.accuracy)


def test_one_seed_says_nothing_about_others_whatever_the_threshold() -> None:
    assert accuracy_interval([([0.3], 50)], 0.95, 0.95) == wilson_interval(15, 50, 0.95)


def _chance(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))
