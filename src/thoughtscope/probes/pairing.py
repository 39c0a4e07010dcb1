"""Which statements belong together: those about one subject, and those that share a predicate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack
from scipy.sparse.linalg import lsqr

Rows = NDArray[np.intp]
Pairs = NDArray[np.intp]
PLACEHOLDER = "\0"


def codes(rows: pd.DataFrame, columns: Sequence[str]) -> NDArray[np.int64]:
    """Return ``[n]`` integers that are equal where all of `columns` are."""
    return np.asarray(rows.groupby(list(columns), sort=False, dropna=False).ngroup(), dtype=np.int64)


def exchangeable(rows: pd.DataFrame) -> list[NDArray[np.int64]]:
    """Return the groupings ``[n]`` within which truth values may be permuted, from the finest to the coarsest.

    See `permutation.permuted_labels`.
    """
    return [codes(rows, ["subject", "attribute", "negated"]), codes(rows, ["subject", "negated"])]


def subject_pairs(rows: pd.DataFrame) -> Pairs:
    """Return indices ``[pairs, 2]`` into `rows` of a true and a false statement with the same subject and attribute."""
    return _pairs(codes(rows, ["subject", "attribute", "negated"]), rows["label"].to_numpy())


def predicate_pairs(rows: pd.DataFrame) -> Pairs:
    """Return indices ``[pairs, 2]`` into `rows` of a true and a false statement that differ only in their subject."""
    return _pairs(_predicates(rows), rows["label"].to_numpy())


def _predicates(rows: pd.DataFrame) -> NDArray[np.int64]:
    """Return a code ``[n]`` of each predicate: the response without the name of the subject."""
    said = [
        response.replace(subject, PLACEHOLDER)
        for response, subject in zip(rows["response"], rows["subject"], strict=True)
    ]
    return codes(rows.assign(said=said), ["said", "attribute", "negated"])


def excess(rows: pd.DataFrame, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``values [n, k]``, centred, after subtracting the effects of subject and predicate.

    Both effects are fitted together by least squares, for subjects and predicates that occur with both truth values.
    The result is unrelated to information about the subject or the predicate alone.
    """
    groups = [codes(rows, ["subject", "attribute", "negated"]), _predicates(rows)]
    design = hstack(
        [np.ones((len(rows), 1)), *(_indicators(group, rows["label"].to_numpy()) for group in groups)]
    ).tocsr()
    effects = [lsqr(design, column, atol=1e-13, btol=1e-13)[0] for column in values.T]
    rest: NDArray[np.float64] = values - design @ np.stack(effects, axis=1)
    return rest


def _indicators(group: NDArray[np.int64], labels: NDArray[np.int64]) -> Any:
    """Return the sparse matrix ``[n, groups]`` of membership in the groups that have both labels."""
    ones, sizes = np.bincount(group, weights=labels), np.bincount(group)
    mixed = np.flatnonzero((ones > 0) & (ones < sizes))
    place = np.full(len(sizes), -1)
    place[mixed] = np.arange(len(mixed))
    members = np.flatnonzero(place[group] >= 0)
    return csr_array((np.ones(len(members)), (members, place[group[members]])), shape=(len(group), len(mixed)))


def _pairs(group: NDArray[np.int64], labels: NDArray[np.int64]) -> Pairs:
    """Return the k-th row of label 1 with the k-th of label 0 in each group, ``[pairs, 2]``."""
    frame = pd.DataFrame({"group": group, "label": labels, "row": np.arange(len(labels))})
    frame["place"] = frame.groupby(["group", "label"]).cumcount()
    true, false = (frame[frame["label"] == label] for label in (1, 0))
    both = true.merge(false, on=["group", "place"])
    return both[["row_x", "row_y"]].to_numpy(dtype=np.intp)


def undecided(texts: Sequence[Sequence[str]], rows: pd.DataFrame) -> NDArray[np.int64]:
    """Return the number ``[n]`` of leading tokens that a response shares with one of the other truth value.

    Only responses to the same question count. Up to there the model has read the same text, so its states cannot depend
    on which of the two it reads.

    Args:
        texts: the tokens of each response.
        rows: `subject`, `question`, `negated` and `label` of each.
    """
    shared = np.zeros(len(rows), dtype=np.int64)
    labels = rows["label"].to_numpy()
    group = codes(rows, ["subject", "question", "negated"])
    for members in _members(group):
        for i in members:
            for j in members:
                if labels[i] != labels[j]:
                    shared[i] = max(shared[i], common_prefix(texts[i], texts[j]))
    return shared


def _members(group: NDArray[np.int64]) -> list[Rows]:
    order = np.argsort(group, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(group[order])) + 1) if len(group) else []


def common_prefix(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the length of the common prefix of two sequences."""
    differ = (k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differ, min(len(one), len(other)))
