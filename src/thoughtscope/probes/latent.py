"""Latent probes: which intermediate value of a chain can be read at which latent.

For each latent index, layer and kind, a multinomial logistic regression reads each step's value; folds are
split by question. Its null are refits on shuffled labels. Knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from thoughtscope.evaluation.statistics import wilson_interval
from thoughtscope.hidden_states.read import Kind, describe_states, read_vectors
from thoughtscope.settings import Positive, Probability, Strict

Array = NDArray[np.float64]


class LatentSettings(Strict):
    """How latents are probed."""

    folds: int = Field(5, ge=2)
    permutations: Positive = Field(20, description="refits on shuffled labels")
    confidence: Probability = 0.95


def latent_rows(folder: Path, rows: Sequence[Mapping[str, Any]], settings: LatentSettings) -> Iterator[dict[str, Any]]:
    """Yield the rows of `tables.LATENT_PROBES`, without the run's columns, for the last checkpoint of a run.

    Latents that fewer than two questions a fold reach, and values that never vary, are left out.

    Args:
        folder: the run's hidden states.
        rows: `tables.REASONING`, with `step_values`.
    """
    facts = describe_states(folder)
    step = int(facts["checkpoints"][-1])
    values = {row["example_id"]: row["step_values"] or [] for row in rows}
    places: list[tuple[Kind, int | None]] = [("input", None), *(("output", int(layer)) for layer in facts["layers"])]
    for kind, layer in places:
        if not any(folder.glob(f"kind={kind}/layer={'none' if layer is None else layer}/*")):
            continue
        vectors, frame = read_vectors(folder, kind, layer, checkpoint=step)
        for index in sorted(frame["latent_index"].dropna().unique()):
            here = (frame["latent_index"] == index).to_numpy(dtype=bool, na_value=False)
            names = frame["example_id"].to_numpy(dtype=object)[here]
            for target, measured in _targets(vectors[here].astype(np.float64), names, values, settings):
                place = {"checkpoint_step": step, "kind": kind, "layer": layer, "latent_index": int(index)}
                yield {**place, "target": target, **measured}


def _targets(
    vectors: Array, names: NDArray[np.object_], values: Mapping[str, Sequence[str]], settings: LatentSettings
) -> Iterator[tuple[int, dict[str, Any]]]:
    steps = max((len(values[name]) for name in names), default=0)
    for target in range(1, steps + 1):
        has = np.array([len(values[name]) >= target for name in names])
        labels = np.array([values[name][target - 1] for name in names[has]])
        if has.sum() >= 2 * settings.folds and len(set(labels)) > 1:
            yield target, readability(vectors[has], labels, names[has], settings)


def readability(
    vectors: Array, labels: NDArray[np.str_], groups: NDArray[np.object_], settings: LatentSettings
) -> dict[str, Any]:
    """Return how often `labels` are read right from `vectors` ``[n, d]`` of unseen groups, with interval and null."""
    scale = float(vectors.std(0).mean()) or 1.0
    scaled = (vectors - vectors.mean(0)) / scale
    folds = list(GroupKFold(settings.folds).split(scaled, labels, groups))
    numbers = np.random.default_rng(0)
    correct = _correct(scaled, labels, folds)
    shuffled = [_correct(scaled, numbers.permutation(labels), folds) for _ in range(settings.permutations)]
    n = len(labels)
    low, high = wilson_interval(correct, n, settings.confidence)
    return {
        "n": n,
        "classes": len(set(labels)),
        "accuracy": correct / n,
        "ci_low": low,
        "ci_high": high,
        "null_mean": float(np.mean(shuffled)) / n,
        "null_p99": float(np.quantile(shuffled, 0.99)) / n,
    }


def _correct(
    vectors: Array, labels: NDArray[np.str_], folds: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]
) -> int:
    return sum(_right(vectors, labels, seen, unseen) for seen, unseen in folds)


def _right(vectors: Array, labels: NDArray[np.str_], seen: NDArray[np.intp], unseen: NDArray[np.intp]) -> int:
    if len(set(labels[seen])) == 1:
        return int((labels[unseen] == labels[seen][0]).sum())
    model = LogisticRegression(C=0.1, tol=1e-2, max_iter=300).fit(vectors[seen], labels[seen])
    return int((model.predict(vectors[unseen]) == labels[unseen]).sum())
