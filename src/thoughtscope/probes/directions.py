"""Directions that separate two classes of vectors, as functions of arrays.

    difference-of-means     mean of the true minus mean of the false
    whitened-difference     the same, whitened by a shrunk covariance (linear discriminant; Ledoit and Wolf 2004)
    pca-of-pairs            first principal component of the differences of pairs
    logistic                weights of a logistic regression

Every direction points to class 1. The first two are linear in a *contrast*, the weights ``[n]`` of a sum over rows
(1 / number of true rows, -1 / number of false rows), so one matrix product gives the directions of many labellings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, eigh
from sklearn.linear_model import LogisticRegression

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Pairs = NDArray[np.intp]  # [pairs, 2]: the rows of a true and of a false statement
LEAST_WITHIN = 0.01  # lower bound of an entry's spread within classes, as a share of its total spread
ROUNDING = 1e-6  # an entry whose spread is below this share of its largest value is constant; the rest is rounding


def contrasts(labels: Array) -> Array:
    """Return ``[B, n]`` weights that turn rows into the difference of class means, for labellings ``[B, n]``."""
    ones = labels.sum(axis=1, keepdims=True)
    zeros = labels.shape[1] - ones
    weights: Array = labels / np.maximum(ones, 1) - (1 - labels) / np.maximum(zeros, 1)
    return weights


@dataclass(frozen=True)
class Training:
    """The vectors that directions are fitted on, centred on their mean; constant entries are 0.

    Attributes:
        vectors: ``[n, d]``.
        centre: ``[d]``, the mean that was subtracted.
        spread: ``[d]``, the standard deviation of each entry; 0 where it is constant.
    """

    vectors: Array
    centre: Array
    spread: Array

    @classmethod
    def of(cls, vectors: NDArray[np.floating]) -> Training:
        """Centre ``vectors [n, d]``."""
        exact = vectors.astype(np.float64)
        centre = exact.mean(axis=0)
        largest = np.maximum(exact.max(axis=0), -exact.min(axis=0))
        exact -= centre
        spread = _spread(exact)
        constant = spread <= ROUNDING * largest
        exact[:, constant] = 0.0
        return cls(exact, centre, np.where(constant, 0.0, spread))

    @cached_property
    def scale(self) -> Array:
        """The divisor ``[d]`` of each entry: its standard deviation, or 1 if it is constant."""
        return np.where(self.spread > 0, self.spread, 1.0)

    def difference_of_means(self, labellings: Array) -> Array:
        """Return one axis ``[k, d]`` for each of ``labellings [k, n]``."""
        return contrasts(labellings) @ self.vectors

    def whitened_difference(self, labellings: Array) -> Array:
        """Return axes ``[k, d]`` of ``labellings [k, n]``: inverse covariance within classes times difference of means.

        The covariance is shrunk towards its diagonal; diagonal and shrinkage are those of the first labelling. The
        covariance of all rows differs from the one within classes by a multiple of the outer product of the difference
        of means. This changes only the length of the axis (Sherman and Morrison 1950), so one factorisation serves all
        labellings. With fewer rows than entries, the same system is solved in the space of rows.
        """
        within = self.vectors - _class_means(self.vectors, labellings[0])
        scale = np.maximum(_spread(within), LEAST_WITHIN * self.spread)
        scale = np.where(scale > 0, scale, 1.0)
        within /= scale
        rows, weights = self.vectors / scale, contrasts(labellings)
        n, d = rows.shape
        gram = _gram(rows)
        difference, ones = weights[0] @ rows, labellings[0].mean()
        share = n * ones * (1 - ones)  # of the outer product of the difference in rows.T @ rows
        along = np.square(rows @ difference).sum()
        norm = np.vdot(gram, gram) - 2 * share * along + (share * difference @ difference) ** 2
        shrinkage, mean = ledoit_wolf(within, float(norm))
        if mean == 0:
            return np.zeros((len(weights), d))
        gram *= (1 - shrinkage) / n
        gram[np.diag_indices_from(gram)] += max(shrinkage, ROUNDING) * mean
        factor = cho_factor(gram, overwrite_a=True, check_finite=False)
        if n < d:
            axes = cho_solve(factor, weights.T, check_finite=False).T @ rows
        else:
            axes = cho_solve(factor, (weights @ rows).T, check_finite=False).T
        scaled: Array = axes / scale
        return scaled

    def pca_of_pairs(self, pairs: Pairs) -> Array:
        """Return the first principal axis ``[d]`` of the differences of ``pairs [pairs, 2]``; labels decide its sign.

        The differences are not centred, so the axis does not depend on the order within pairs.
        """
        differences = self.vectors[pairs[:, 0]] - self.vectors[pairs[:, 1]]
        gram = _gram(differences)
        last = len(gram) - 1
        main = eigh(gram, subset_by_index=[last, last])[1][:, 0]
        axis = main @ differences if len(differences) < differences.shape[1] else main
        length = float(np.linalg.norm(axis))
        if length == 0 or not differences.any():
            return np.zeros(differences.shape[1])
        sign = 1.0 if axis @ differences.mean(axis=0) >= 0 else -1.0
        unit: Array = sign * axis / length
        return unit

    def logistic(self, labels: Labels) -> Array:
        """Return ``[d]``, the weights of an L2-regularised (C = 1) logistic regression on standardised entries.

        The weights are in the span of the rows; with fewer rows than entries they are fitted in coordinates of that
        span.
        """
        rows, (n, d) = self.vectors / self.scale, self.vectors.shape
        basis = np.linalg.qr(rows.T)[0] if n < d else None
        model = LogisticRegression(C=1.0, max_iter=1000).fit(rows if basis is None else rows @ basis, labels)
        weights = model.coef_[0]
        axis: Array = (weights if basis is None else basis @ weights) / self.scale
        return np.where(self.spread > 0, axis, 0.0)


def _spread(centred: Array) -> Array:
    """Return the standard deviation ``[d]`` of the entries of centred rows ``[n, d]``."""
    spread: Array = np.sqrt(np.einsum("nd,nd->d", centred, centred) / len(centred))
    return spread


def _class_means(vectors: Array, labels: Array) -> Array:
    """Return for each row the mean of its class, ``[n, d]``."""
    means = np.stack([vectors[labels == label].mean(axis=0) for label in (0, 1)])
    return means[labels.astype(np.intp)]


def _gram(rows: Array) -> Array:
    """Return the smaller of ``rows @ rows.T`` and ``rows.T @ rows`` for ``rows [n, d]``."""
    n, d = rows.shape
    return rows @ rows.T if n < d else rows.T @ rows


def ledoit_wolf(rows: Array, norm: float) -> tuple[float, float]:
    """Return shrinkage and mean variance of centred ``rows [n, d]`` (Ledoit and Wolf 2004, as in scikit-learn).

    Args:
        norm: the sum of squares of the entries of ``rows.T @ rows``, which equals that of ``rows @ rows.T``.
    """
    n, d = rows.shape
    squares = np.einsum("nd,nd->n", rows, rows)
    mean = squares.sum() / (n * d)
    error = (np.square(squares).sum() / n - norm / n**2) / (d * n)
    distance = norm / n**2 / d - mean**2
    return (float(np.clip(error / distance, 0, 1)) if distance > 0 else 1.0), float(mean)


LINEAR: dict[str, Callable[[Training, Array], Array]] = {
    "difference-of-means": Training.difference_of_means,
    "whitened-difference": Training.whitened_difference,
}
DIRECTIONS = (*LINEAR, "pca-of-pairs", "logistic")


def fit(training: Training, labels: Labels, pairs: Pairs, permuted: Array) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the axis ``[d]`` of each direction, and for linear directions the axes ``[B, d]`` of permuted labellings.

    Args:
        pairs: ``[pairs, 2]``; if empty, the direction of pairs is left out.
        permuted: ``[B, n]`` labellings.
    """
    labellings = np.vstack([labels[None].astype(np.float64), permuted])
    linear = {name: make(training, labellings) for name, make in LINEAR.items()}
    axes = {name: found[0] for name, found in linear.items()}
    if len(pairs):
        axes["pca-of-pairs"] = training.pca_of_pairs(pairs)
    axes["logistic"] = training.logistic(labels)
    return axes, {name: found[1:] for name, found in linear.items()}
