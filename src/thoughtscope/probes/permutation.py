"""Permutation tests of the area under the ROC curve (AUROC), as functions of arrays.

Labels are permuted within the smallest group of rows that has both, so that what a group has in common (a subject, a
predicate) does not count as truth. The scores do not change, so one matrix product of labellings and ranks gives all
permutations of all scores. p = (k + 1) / (B + 1), one-sided: a direction that is inverted on the test rows does not
pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Rows = NDArray[np.intp]
ROUNDING = 1e-9  # areas this close count as equal, because permuted labels are summed in another order


def permuted_labels(labels: Labels, keys: Sequence[NDArray[np.int64]], count: int, seed: int = 0) -> Array:
    """Return labellings ``[count, n]`` of ``labels [n]`` (0 or 1), all equally likely under the null hypothesis.

    The label of a row is shuffled within its group of the first key in which that group has both labels. The remaining
    rows have the same label throughout their group of the last key; these groups exchange their labels as a whole.

    Args:
        keys: groupings as integers ``[n]``, from the finest to the coarsest, e.g. (subject and attribute), subject.
    """
    rng = np.random.default_rng(seed)
    permuted = np.tile(labels.astype(np.float64), (count, 1))
    rest = np.arange(len(labels))
    for key in keys:
        _, group = np.unique(key[rest], return_inverse=True)
        mixed = _mixed(labels[rest], group)[group]
        rows, group = rest[mixed], group[mixed]
        inside = np.argsort(group, kind="stable")
        shuffled = np.argsort(group + rng.random((count, len(rows))), axis=1)
        permuted[np.arange(count)[:, None], rows[shuffled]] = labels[rows[inside]]
        rest = rest[~mixed]
    if len(rest):
        _, first, group = np.unique(keys[-1][rest], return_index=True, return_inverse=True)
        whole = labels[rest[first]]
        permuted[:, rest] = whole[np.argsort(rng.random((count, len(whole))), axis=1)][:, group]
    return permuted


def _mixed(labels: Labels, group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether both labels occur in each group, ``[groups]``."""
    ones = np.bincount(group, weights=labels)
    mixed: NDArray[np.bool_] = (ones > 0) & (ones < np.bincount(group))
    return mixed


def areas(ranks: Array, sizes: Array, labels: Array) -> Array:
    """Return the AUROC ``[B, k]`` of each labelling and score; .5 if a labelling has a single class.

    Computed from mid-ranks (Mann and Whitney 1947). A unit (a statement) may have several scored rows (its tokens).

    Args:
        ranks: ``[units, k]``, for each unit the sum of the ranks of its rows among all rows.
        sizes: ``[units]``, the number of rows of each unit.
        labels: ``[B, units]``.
    """
    ones = labels @ sizes
    pairs = ones * (sizes.sum() - ones)
    wins = labels @ ranks - (ones * (ones + 1) / 2)[:, None]
    found: Array = np.where(pairs[:, None] > 0, wins / np.maximum(pairs, 1)[:, None], 0.5)
    return found


def auroc(scores: Array, labels: Labels) -> Array:
    """Return the AUROC ``[k]`` of each column of ``scores [n, k]``."""
    found: Array = areas(rankdata(scores, axis=0), np.ones(len(labels)), labels[None].astype(np.float64))[0]
    return found


def p_values(observed: Array, permuted: Array) -> tuple[Array, Array]:
    """Return the p-values ``[k]`` of ``observed [k]`` values, and the p-values corrected for choosing among all k.

    The corrected p-value compares with the largest of all k standardised values of each permutation (Westfall and Young
    1993). Observed and permuted values are standardised together, so that both have the same distribution under the
    null hypothesis. A value that no permutation changes has p = 1.

    Args:
        permuted: ``[B, k]``, the values after permutations, which are the same for all k.
    """
    reached = permuted >= observed - ROUNDING
    together = np.vstack([observed[None], permuted])
    spread = together.std(axis=0)
    scaled = (together - together.mean(axis=0)) / np.where(spread > ROUNDING, spread, np.inf)
    largest = scaled[1:].max(axis=1) if scaled.shape[1] else np.zeros(len(permuted))
    beaten = largest[:, None] >= scaled[0] - ROUNDING
    count = len(permuted) + 1
    return (1 + reached.sum(axis=0)) / count, (1 + beaten.sum(axis=0)) / count


class Family:
    """AUROCs with p-values that are corrected for choosing the best of them.

    All use the same units (statements), whose labels are permuted. A unit may have one scored row, several or none.
    """

    def __init__(self, labels: Labels, permuted: Array) -> None:
        """Start a family for ``labels [units]`` and their ``permuted [B, units]`` labellings."""
        self.labellings = np.vstack([labels[None].astype(np.float64), permuted])
        self.areas: list[Array] = []

    def add(self, scores: Array, units: NDArray[np.int64] | None = None) -> Array:
        """Add scores ``[rows, k]`` of rows that belong to ``units [rows]``; None: each unit has one row, in order.

        Returns:
            The AUROCs ``[k]`` of these scores.
        """
        count = self.labellings.shape[1]
        ranks = rankdata(scores, axis=0)
        sizes = np.ones(count)
        if units is not None:
            sizes = np.bincount(units, minlength=count).astype(np.float64)
            ranks = np.stack([np.bincount(units, column, minlength=count) for column in ranks.T], axis=1)
        found = areas(ranks, sizes, self.labellings)
        self.areas.append(found)
        own: Array = found[0]
        return own

    def p_values(self) -> tuple[Array, Array]:
        """Return the p-values and the corrected p-values of all AUROCs, in the order in which they were added."""
        together = np.concatenate(self.areas, axis=1) if self.areas else np.zeros((len(self.labellings), 0))
        return p_values(together[0], together[1:])


class Resampling:
    """Bootstrap samples of whole groups (subjects), the same for all scores of the same rows."""

    def __init__(self, groups: NDArray[np.int64], labels: Labels, resamples: int, seed: int = 0) -> None:
        """Draw samples for rows with these ``groups [n]`` and ``labels [n]``, which are not all equal."""
        _, codes = np.unique(groups, return_inverse=True)
        size = int(codes.max()) + 1
        counts = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), resamples)[:, codes]
        both = (counts[:, labels == 1].any(axis=1)) & (counts[:, labels == 0].any(axis=1))
        self.true, self.false = (counts[both] * (labels == label).astype(np.float64) for label in (1, 0))
        self.pairs = self.true.sum(axis=1) * self.false.sum(axis=1)

    def interval(self, scores: Array, confidence: float) -> tuple[float, float]:
        """Return the percentile interval (Efron 1979) of the AUROC of ``scores [n]``.

        Samples that lack a label are left out; NaN if all samples lack one.
        """
        if not len(self.pairs):
            return float("nan"), float("nan")
        order = np.argsort(scores, kind="stable")
        starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
        true, false = (np.add.reduceat(one[:, order], starts, axis=1) for one in (self.true, self.false))
        drawn = (true * (false.cumsum(axis=1) - false / 2)).sum(axis=1) / self.pairs
        tail = (1 - confidence) / 2
        low, high = np.quantile(drawn, [tail, 1 - tail])
        return float(low), float(high)
