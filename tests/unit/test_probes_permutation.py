"""Permutation tests: exact areas, honest p-values, and the level that they state."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from thoughtscope.probes.directions import Training
from thoughtscope.probes.permutation import Family, Resampling, areas, auroc, p_values, permuted_labels

PAIRS = np.arange(40) // 2
LABELS = np.tile([1, 0], 20)


def test_auroc_of_known_orders():
    labels = np.array([0, 0, 1, 1])
    scores = np.array([[1.0, 4.0, 1.0], [2.0, 3.0, 1.0], [3.0, 2.0, 1.0], [4.0, 1.0, 1.0]])
    assert auroc(scores, labels).tolist() == [1.0, 0.0, 0.5]


def test_the_area_of_every_labelling_is_that_of_scikit_learn_ties_included():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 9, (40, 3)).astype(float)
    permuted = permuted_labels(LABELS, [np.zeros(40, dtype=np.int64)], 20)
    family = Family(LABELS, permuted)
    family.add(scores)
    for labelling, found in zip(family.labellings, family.areas[0], strict=True):
        assert found == pytest.approx([roc_auc_score(labelling, column) for column in scores.T])


def test_a_statement_of_several_tokens_counts_each_of_them():
    rng = np.random.default_rng(0)
    units = np.repeat(np.arange(40), rng.integers(0, 4, 40))
    scores = rng.standard_normal((len(units), 2))
    family = Family(LABELS, permuted_labels(LABELS, [PAIRS], 20))
    family.add(scores, units)
    for labelling, found in zip(family.labellings, family.areas[0], strict=True):
        assert found == pytest.approx([roc_auc_score(labelling[units], column) for column in scores.T])


def test_labels_are_swapped_within_pairs_in_any_order_of_rows():
    order = np.random.default_rng(0).permutation(40)
    permuted = permuted_labels(LABELS[order], [PAIRS[order]], 200)
    for pair in range(20):
        assert (permuted[:, PAIRS[order] == pair].sum(axis=1) == 1).all()
    assert permuted.mean(axis=0) == pytest.approx(0.5, abs=0.15)


def test_unequal_classes_keep_their_numbers_in_every_group():
    group = np.repeat([0, 1, 2], [5, 4, 3])  # 2 right and 3 wrong, 1 and 3, and a group of one label
    labels = np.array([1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1])
    permuted = permuted_labels(labels, [group], 100)
    assert (permuted[:, :5].sum(axis=1) == 2).all()
    assert (permuted[:, 5:9].sum(axis=1) == 1).all()
    assert (permuted[:, 9:] == 1).all()
    assert len({tuple(row) for row in permuted}) > 10


def test_subjects_of_one_label_exchange_it_whole():
    subject = np.repeat(np.arange(6), [1, 2, 3, 1, 2, 3])
    labels = np.repeat([1, 1, 1, 0, 0, 0], [1, 2, 3, 1, 2, 3])
    permuted = permuted_labels(labels, [np.arange(12), subject], 100)
    for row in permuted:
        by_subject = [set(row[subject == one]) for one in range(6)]
        assert all(len(found) == 1 for found in by_subject)
        assert sum(found == {1.0} for found in by_subject) == 3


def test_p_is_k_plus_one_over_b_plus_one_and_one_sided():
    permuted = np.linspace(0.3, 0.7, 9)[:, None]
    assert p_values(np.array([0.65]), permuted)[0] == pytest.approx([3 / 10])
    assert p_values(np.array([0.9]), permuted)[0] == pytest.approx([1 / 10])
    assert p_values(np.array([0.01]), permuted)[0] == pytest.approx([1.0])


def test_a_value_that_no_permutation_changes_is_no_evidence():
    p, corrected = p_values(np.array([0.5, 0.8]), np.column_stack([np.full(99, 0.5), np.linspace(0.4, 0.6, 99)]))
    assert p == pytest.approx([1.0, 0.01])
    assert corrected == pytest.approx([1.0, 0.01])


@pytest.mark.parametrize("paired", [True, False])
def test_without_truth_one_percent_of_tests_pass_the_level_of_one_percent(paired):
    """Pairs share most of their score, columns are correlated, and the best of twelve columns is chosen."""
    seed, studies, columns = 20251, 1200, 12
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    keys = [PAIRS] if paired else [np.arange(40)]
    passed = {"one": 0, "best": 0}
    for study in range(studies):
        shared = rng.standard_normal((20, 1, columns)) if paired else 0
        scores = rng.standard_normal((20, 2, columns)) + 2 * shared + rng.standard_normal((20, 2, 1))
        family = Family(LABELS, permuted_labels(LABELS, keys, 199, seed=study))
        family.add(scores.reshape(40, columns))
        p, corrected = family.p_values()
        passed["one"] += int(p[0] <= 0.01)
        passed["best"] += int(corrected.min() <= 0.01)
    low, high = binom.ppf([0.0005, 0.9995], studies, 0.01)
    assert low <= passed["one"] <= high, f"seed {seed}: {passed}"
    assert passed["best"] <= high, f"seed {seed}: {passed}"
    assert passed["best"] >= low, f"seed {seed}: {passed}"


def test_a_direction_that_is_inverted_on_the_test_subjects_does_not_pass():
    scores = -LABELS[:, None] + 0.1 * np.random.default_rng(0).standard_normal((40, 1))
    family = Family(LABELS, permuted_labels(LABELS, [PAIRS], 199))
    assert family.add(scores)[0] < 0.01
    assert family.p_values()[0][0] > 0.99


def test_truth_on_the_dominant_axis_passes_though_directions_fitted_to_noise_find_it_too():
    rng = np.random.default_rng(0)
    train, test = (rng.standard_normal((40, 8)) for _ in range(2))
    for vectors in (train, test):
        vectors[:, 0] += 30 * LABELS
    training, permuted = Training.of(train), permuted_labels(LABELS, [PAIRS], 199)
    axes = training.difference_of_means(np.vstack([LABELS[None], permuted]))
    scores = (test - training.centre) @ axes.T
    family = Family(LABELS, permuted_labels(LABELS, [PAIRS], 199, seed=1))
    observed = family.add(scores[:, :1])[0]
    assert observed > 0.99
    assert family.p_values()[0][0] == pytest.approx(1 / 200)
    refitted = auroc(scores[:, 1:], LABELS)
    assert (refitted >= observed).mean() > 0.1, "the other null: it asks whether the direction is better than noise"


def test_the_interval_resamples_whole_subjects():
    rng = np.random.default_rng(0)
    scores = rng.standard_normal(40) + LABELS
    alone = Resampling(PAIRS, LABELS, 500).interval(scores, 0.95)
    copied = Resampling(np.tile(PAIRS, 10), np.tile(LABELS, 10), 500).interval(np.tile(scores, 10), 0.95)
    assert copied == pytest.approx(alone, abs=1e-9)
    assert alone[0] < auroc(scores[:, None], LABELS)[0] < alone[1]


def test_the_interval_is_that_of_areas_counted_one_by_one():
    rng = np.random.default_rng(1)
    groups, labels = np.array([3, 3, 1, 1, 1, 7]), np.array([1, 0, 0, 0, 1, 1])
    scores = rng.integers(0, 3, 6).astype(float)
    sampling = Resampling(groups, labels, 200)
    weights = (sampling.true + sampling.false).astype(int)
    assert len({tuple(row) for row in weights}) > 5
    assert (weights[:, 0] == weights[:, 1]).all(), "rows of a group are drawn together"
    drawn = [roc_auc_score(labels, scores, sample_weight=row) for row in weights]
    assert sampling.interval(scores, 0.9) == pytest.approx(tuple(np.quantile(drawn, [0.05, 0.95])))


def test_a_single_statement_of_each_truth_has_an_area_and_an_interval():
    labels = np.array([1, 0])
    low, high = Resampling(np.array([0, 1]), labels, 50).interval(np.array([2.0, 1.0]), 0.95)
    assert (low, high) == (1.0, 1.0)
    assert areas(np.array([[2.0], [1.0]]), np.ones(2), np.array([[1.0, 1.0]]))[0, 0] == 0.5
