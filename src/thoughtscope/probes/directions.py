"""Directions that separate two classes of vectors, and how well they do. Arrays in, arrays out.

    difference-of-means     mean of the true minus mean of the false
    whitened-difference     the same, whitened by the shrunk covariance within classes (LDA; Ledoit and Wolf 2004)
    pca-of-pairs            first principal component of the differences of pairs
    logistic                weights of a logistic regression

Every direction points to class 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


def difference_of_means(vectors: Array, labels: Labels) -> Array:
    """Return ``[d]``, the mean of class 1 minus that of class 0."""
    difference: Array = vectors[labels == 1].mean(0) - vectors[labels == 0].mean(0)
    return difference


def whitened_difference(vectors: Array, labels: Labels) -> Array:
    """Return ``[d]``, Fisher's discriminant with a shrunk covariance."""
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(vectors, labels)
    weights: Array = model.coef_[0]
    return weights


def pca_of_pairs(vectors: Array, labels: Labels) -> Array:
    """Return ``[d]``, the main axis of the differences between the i-th of class 1 and the i-th of class 0.

    The differences are centred, so that the axis is found without the labels' help; only its sign is theirs.
    """
    differences = vectors[labels == 1] - vectors[labels == 0]
    swapped = np.where(np.arange(len(differences)) % 2 == 0, 1.0, -1.0)[:, None] * differences
    axis: Array = np.linalg.svd(swapped - swapped.mean(0), full_matrices=False)[2][0]
    return axis * (1.0 if axis @ differences.mean(0) >= 0 else -1.0)


def logistic(vectors: Array, labels: Labels) -> Array:
    """Return ``[d]``, the weights of an L2-regularised logistic regression on vectors scaled to unit mean spread."""
    scale = float(vectors.std(0).mean()) or 1.0
    model = LogisticRegression(C=1.0, max_iter=1000).fit((vectors - vectors.mean(0)) / scale, labels)
    weights: Array = model.coef_[0] / scale
    return weights


DIRECTIONS: dict[str, Callable[[Array, Labels], Array]] = {
    "difference-of-means": difference_of_means,
    "whitened-difference": whitened_difference,
    "pca-of-pairs": pca_of_pairs,
    "logistic": logistic,
}
FOUND_WITHOUT_LABELS = {"pca-of-pairs"}


def auroc(scores: Array, labels: Labels) -> Array:
    """Return the area under the ROC curve of each column of ``scores [n, k]`` (Mann and Whitney 1947)."""
    ranks = rankdata(scores, axis=0)
    ones, n = int(labels.sum()), len(labels)
    area: Array = (ranks[labels == 1].sum(0) - ones * (ones + 1) / 2) / (ones * (n - ones))
    return area


def auroc_interval(
    scores: Array, labels: Labels, groups: NDArray[np.object_], resamples: int, confidence: float, seed: int = 0
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the AUROC of ``scores [n]`` over groups (subjects), drawn whole."""
    names, codes = np.unique(groups, return_inverse=True)
    wins = np.zeros((len(names), len(names)))
    true, false = labels == 1, labels == 0
    beaten = (scores[true][:, None] > scores[false]) + 0.5 * (scores[true][:, None] == scores[false])
    np.add.at(wins, (codes[true][:, None], codes[false][None, :]), beaten)
    ones = np.bincount(codes[true], minlength=len(names))
    zeros = np.bincount(codes[false], minlength=len(names))
    numbers = np.random.default_rng(seed)
    counts = numbers.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples).astype(np.float64)
    areas = ((counts @ wins) * counts).sum(1) / np.maximum((counts @ ones) * (counts @ zeros), 1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(areas, [tail, 1 - tail])
    return float(low), float(high)


def random_axes(width: int, count: int, seed: int = 0) -> Array:
    """Return ``[width, count]`` directions drawn evenly from all."""
    return np.random.default_rng(seed).standard_normal((width, count))


def shuffled_axes(
    fit: Callable[[Array, Labels], Array], vectors: Array, labels: Labels, permutations: int, seed: int = 0
) -> Array:
    """Return ``[width, permutations]``: refits on shuffled labels."""
    numbers = np.random.default_rng(seed)
    return np.stack([fit(vectors, numbers.permutation(labels)) for _ in range(permutations)], axis=1)


def label_null(scores: Array, labels: Labels, permutations: int, seed: int = 0) -> float:
    """Return the 99th percentile of |AUROC - .5| of ``scores [n]`` over shuffles of the labels they are tested on."""
    numbers = np.random.default_rng(seed)
    areas = [auroc(scores[:, None], numbers.permutation(labels))[0] for _ in range(permutations)]
    return float(np.quantile(np.abs(np.array(areas) - 0.5), 0.99))


def null(vectors: Array, labels: Labels, axes: Array) -> float:
    """Return the 99th percentile of |AUROC - .5| over `axes`: class means differ a little along any direction."""
    return float(np.quantile(np.abs(auroc(vectors @ axes, labels) - 0.5), 0.99))
