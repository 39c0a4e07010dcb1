"""Directions find what was planted; closed forms equal refits; constant entries and few rows are no trouble."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from thoughtscope.probes.directions import DIRECTIONS, ROUNDING, Training, fit, ledoit_wolf
from thoughtscope.probes.permutation import auroc
from thoughtscope.probes.statements import without

SHAPES = [(200, 8), (30, 64)]  # more rows than entries, and fewer


def planted(rows: int, width: int, seed: int = 0, size: float = 6.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vectors, labels and pairs; entry 2 holds the label."""
    labels = np.tile([1, 0], rows // 2)
    vectors = np.random.default_rng(seed).standard_normal((rows, width))
    vectors[:, 2] += size * labels
    return vectors, labels, np.arange(rows).reshape(-1, 2)


def permuted(labels: np.ndarray, count: int = 5) -> np.ndarray:
    """Return a few shuffles of labels."""
    rng = np.random.default_rng(1)
    return np.stack([rng.permutation(labels) for _ in range(count)]).astype(float)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", DIRECTIONS)
def test_every_direction_finds_the_planted_axis_and_its_sign(name, shape):
    vectors, labels, pairs = planted(*shape)
    axis = fit(Training.of(vectors), labels, pairs, permuted(labels))[0][name]
    assert axis[2] / np.linalg.norm(axis) > (0.9 if shape[0] > shape[1] else 0.2)
    unseen, truth, _ = planted(*shape, seed=9)
    assert auroc((unseen @ axis)[:, None], truth)[0] > 0.9


@pytest.mark.parametrize("shape", SHAPES)
def test_the_axes_of_permuted_labels_are_those_of_refits(shape):
    vectors, labels, pairs = planted(*shape)
    training, shuffles = Training.of(vectors), permuted(labels)
    _, found = fit(training, labels, pairs, shuffles)
    scale, shrinkage, mean = regulariser(training, labels)
    rows = training.vectors / scale
    for number, shuffled in enumerate(shuffles):
        difference = training.vectors[shuffled == 1].mean(axis=0) - training.vectors[shuffled == 0].mean(axis=0)
        np.testing.assert_allclose(found["difference-of-means"][number], difference, atol=1e-12)
        expected = discriminant(rows, shuffled, shrinkage, mean) / scale
        assert cosine(found["whitened-difference"][number], expected) == pytest.approx(1)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_whitened_difference_solves_the_shrunk_covariance_within_classes(shape):
    """The covariance of all rows gives the direction of the one within classes (Sherman and Morrison)."""
    vectors, labels, _ = planted(*shape)
    training = Training.of(vectors)
    scale, shrinkage, mean = regulariser(training, labels)
    expected = discriminant(training.vectors / scale, labels, shrinkage, mean) / scale
    axis = training.whitened_difference(labels[None].astype(float))[0]
    assert cosine(axis, expected) == pytest.approx(1)


def test_the_whitened_difference_is_the_shrunk_discriminant_of_scikit_learn():
    rng = np.random.default_rng(3)
    vectors, labels, _ = planted(300, 20, size=1.0)
    vectors = vectors @ rng.standard_normal((20, 20))
    axis = Training.of(vectors).whitened_difference(labels[None].astype(float))[0]
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(vectors, labels)
    assert cosine(axis, model.coef_[0]) > 0.99  # it shrinks the covariance of each class by itself


def regulariser(training: Training, labels: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Return scale, shrinkage and mean variance of the rows within classes."""
    inside = within(training.vectors, labels)
    scale = np.maximum(inside.std(axis=0), 0.01 * training.spread)
    rows = inside / scale
    return scale, *ledoit_wolf(rows, np.square(rows.T @ rows).sum())


def within(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return rows less the mean of their class."""
    means = np.stack([rows[labels == label].mean(axis=0) for label in (0, 1)])
    return rows - means[labels.astype(int)]


def discriminant(rows: np.ndarray, labels: np.ndarray, shrinkage: float, mean: float) -> np.ndarray:
    """Return the inverse of the shrunk covariance within classes times the difference of means, solved directly."""
    inside = within(rows, labels)
    ridge = max(shrinkage, ROUNDING) * mean * np.eye(rows.shape[1])
    difference = rows[labels == 1].mean(axis=0) - rows[labels == 0].mean(axis=0)
    return np.linalg.solve((1 - shrinkage) * inside.T @ inside / len(rows) + ridge, difference)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Return the cosine of two directions."""
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("shape", SHAPES)
def test_shrinkage_is_that_of_scikit_learn(shape):
    rows = Training.of(planted(*shape)[0]).vectors
    for gram in (rows.T @ rows, rows @ rows.T):
        assert ledoit_wolf(rows, np.square(gram).sum())[0] == pytest.approx(
            ledoit_wolf_shrinkage(rows, assume_centered=True)
        )


@pytest.mark.parametrize("ones", [1, 9])
def test_one_statement_of_a_class_is_enough_for_directions_without_pairs(ones):
    labels = np.repeat([1, 0], [ones, 10 - ones])
    vectors = np.random.default_rng(0).standard_normal((10, 4)) + 9 * labels[:, None]
    axes, _ = fit(Training.of(vectors), labels, np.empty((0, 2), dtype=int), permuted(labels))
    assert set(axes) == {"difference-of-means", "whitened-difference", "logistic"}
    for axis in axes.values():
        assert auroc((vectors @ axis)[:, None], labels)[0] == 1.0


def test_the_axis_of_pairs_does_not_depend_on_their_order():
    vectors, _, pairs = planted(40, 8, size=0.5)
    order = np.random.default_rng(0).permutation(20)
    training = Training.of(vectors)
    axis = training.pca_of_pairs(pairs)
    np.testing.assert_allclose(training.pca_of_pairs(pairs[order]), axis, atol=1e-9)
    np.testing.assert_allclose(training.pca_of_pairs(pairs[:, ::-1]), -axis, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_constant_entries_and_constant_vectors_hold_nothing(shape):
    vectors, labels, pairs = planted(*shape)
    vectors[:, 5] = 1000.0 + 1e-6 * labels  # rounding that follows the label
    axes, _ = fit(Training.of(vectors), labels, pairs, permuted(labels))
    assert all(axis[5] == 0 for axis in axes.values())
    nothing = np.tile(np.float32(0.1), shape)
    axes, _ = fit(Training.of(nothing), labels, pairs, permuted(labels))
    assert all((nothing @ axis == 0).all() for axis in axes.values())


def test_scales_come_from_the_training_rows():
    vectors, _, _ = planted(40, 8)
    training = Training.of(vectors)
    np.testing.assert_allclose((training.vectors / training.scale).std(axis=0), 1)
    np.testing.assert_allclose(training.centre, vectors.mean(axis=0))


def test_what_a_nuisance_explains_is_taken_out():
    rng = np.random.default_rng(0)
    nuisance = rng.standard_normal((100, 1))
    vectors = nuisance @ rng.standard_normal((1, 8)) + 3
    assert (without(nuisance, vectors) == 0).all()
    kept = vectors + rng.standard_normal((100, 8))
    assert np.abs(without(nuisance, kept).T @ nuisance).max() < 1e-9


def test_rounding_left_by_a_constant_entry_is_not_read_as_truth():
    rng = np.random.default_rng(0)
    labels = np.tile([1, 0], 50)
    nuisance = (labels + 0.1 * rng.standard_normal(100))[:, None]
    constant = np.tile(rng.standard_normal(8), (100, 1))
    assert auroc(without(nuisance, constant) @ np.ones((8, 1)), labels)[0] == 0.5
