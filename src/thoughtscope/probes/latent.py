"""Which values of a question can be read at which of its latents.

For each latent index, layer and kind of vector, a linear discriminant predicts each value, with cross-validation over
questions. The null distribution is that of the same discriminant after the values were permuted between questions. All
that depends on labels has a closed form, so a few matrix products give all refits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from thoughtscope.errors import UserError
from thoughtscope.hidden_states.read import Kind, describe_states, read_vectors
from thoughtscope.probes.directions import Training, ledoit_wolf
from thoughtscope.probes.permutation import p_values
from thoughtscope.probes.settings import LatentSettings
from thoughtscope.statistics import wilson_interval

Array = NDArray[np.float64]
BLOCK = 64  # labellings that are refitted at once, to limit memory


@dataclass(frozen=True)
class Cell:
    """How often the values at one latent, layer and kind are predicted correctly.

    Attributes:
        correct: ``[B + 1]``, the number of correct predictions, first with the true values, then with permuted ones.
    """

    place: dict[str, Any]
    n: int
    classes: int
    correct: Array


def latent_rows(
    folder: Path, values: Mapping[str, Sequence[str]], settings: LatentSettings
) -> Iterator[dict[str, Any]]:
    """Yield rows of evidence with checkpoint_step, kind, layer, latent_index, target, classes and null_mean.

    The last checkpoint of a run is read. Latents with fewer than two questions for each fold, and targets with a single
    value, are left out.

    Args:
        folder: the run's hidden states.
        values: the values of each question, by its id; the k-th of them is target k.

    Raises:
        UserError: a question has two vectors at one latent.
    """
    cells = list(_cells(folder, values, settings))
    rates = np.stack([cell.correct / cell.n for cell in cells], axis=1) if cells else np.zeros((2, 0))
    for cell, p, corrected in zip(cells, *p_values(rates[0], rates[1:]), strict=True):
        correct = int(cell.correct[0])
        low, high = wilson_interval(correct, cell.n, settings.confidence)
        yield {
            **cell.place,
            "classes": cell.classes,
            "null_mean": float(cell.correct[1:].mean()) / cell.n,
            "n": cell.n,
            "measure": "accuracy",
            "value": correct / cell.n,
            "ci_low": low,
            "ci_high": high,
            "p": float(p),
            "p_corrected": float(corrected),
            "passes_null": bool(corrected <= settings.level),
            "note": None,
        }


def _cells(folder: Path, values: Mapping[str, Sequence[str]], settings: LatentSettings) -> Iterator[Cell]:
    facts = describe_states(folder)
    step = int(facts["checkpoints"][-1])
    keys = dict(zip(values, _random_keys(len(values), settings.permutations), strict=True))
    places: list[tuple[Kind, int | None]] = [("input", None), *(("output", int(layer)) for layer in facts["layers"])]
    for kind, layer in places:
        if not any(folder.glob(f"kind={kind}/layer={'none' if layer is None else layer}/*")):
            continue
        vectors, frame = read_vectors(folder, kind, layer, checkpoint=step)
        for index in sorted(frame["latent_index"].dropna().unique()):
            here = (frame["latent_index"] == index).to_numpy(dtype=bool, na_value=False)
            names = frame["example_id"].to_numpy(dtype=object)[here]
            if len(set(names)) < len(names):
                raise UserError(str(folder), f"a question has two vectors at latent {index}", "extract them again")
            for target, has in _targets(names, values, settings.folds):
                labels = np.array([values[name][target - 1] for name in names[has]])
                order = np.stack([keys[name] for name in names[has]], axis=1)
                correct = read_right(vectors[here][has], labels, order, settings.folds)
                place = {"checkpoint_step": step, "kind": kind, "layer": layer, "latent_index": int(index)}
                yield Cell({**place, "target": target}, len(labels), len(set(labels)), correct)


def _random_keys(questions: int, permutations: int, seed: int = 0) -> Array:
    """Return random keys ``[questions, B]`` to sort questions by, so that all cells share their permutations."""
    return np.random.default_rng(seed).random((questions, permutations))


def _targets(
    names: NDArray[np.object_], values: Mapping[str, Sequence[str]], folds: int
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield each target that can be probed, counted from 1, and a mask ``[n]`` of the questions that have it."""
    for target in range(1, max((len(values[name]) for name in names), default=0) + 1):
        has = np.array([len(values[name]) >= target for name in names])
        if has.sum() >= 2 * folds and len({values[name][target - 1] for name in names[has]}) > 1:
            yield target, has


def read_right(vectors: NDArray[np.floating], labels: NDArray[np.str_], keys: Array, folds: int) -> Array:
    """Return the number of correct predictions on held-out rows, ``[B + 1]``: first of true values, then of permuted.

    Args:
        vectors: ``[n, d]``, one row for each question.
        labels: ``[n]``.
        keys: ``[B, n]``, random numbers; their order permutes the labels.
    """
    classes, true = np.unique(labels, return_inverse=True)
    shuffled = true[np.argsort(keys, axis=1)]
    codes = np.vstack([true[None], shuffled])
    correct = np.zeros(len(codes))
    for seen, unseen in KFold(folds, shuffle=True, random_state=0).split(vectors):
        known, asked, kept = whitened(vectors[seen], vectors[unseen])
        for start in range(0, len(codes), BLOCK):
            part = codes[start : start + BLOCK]
            found = discriminant(known, part[:, seen], asked, kept, len(classes))
            correct[start : start + BLOCK] += (found == part[:, unseen]).sum(axis=1)
    return correct


def whitened(seen: NDArray[np.floating], unseen: NDArray[np.floating]) -> tuple[Array, Array, float]:
    """Return both sets of rows in coordinates in which the shrunk covariance of the seen rows is the identity.

    Centre, scale, covariance and shrinkage (Ledoit and Wolf 2004) are estimated from the seen rows, without labels.

    Returns:
        ``[seen, r]`` and ``[unseen, r]`` with r at most the number of seen rows, and the weight of the sample
        covariance in the shrunk one.
    """
    training = Training.of(seen)
    rows = training.vectors / training.scale
    _, spread, axes = np.linalg.svd(rows, full_matrices=False)
    shrinkage, mean = ledoit_wolf(rows, float((spread**4).sum()))
    variance = (1 - shrinkage) * np.square(spread) / len(seen) + max(shrinkage, 1e-6) * mean
    turn = axes.T / np.sqrt(np.where(variance > 0, variance, np.inf))
    return rows @ turn, ((unseen - training.centre) / training.scale) @ turn, 1 - shrinkage


def discriminant(known: Array, labels: NDArray[np.int64], asked: Array, kept: float, classes: int) -> NDArray[np.int64]:
    """Return the classes ``[B, asked]`` that Fisher's linear discriminant predicts, for B labellings at once.

    In coordinates in which the shrunk covariance is the identity, the covariance within classes is
    ``W = I - kept M' N M``, with class means ``M [classes, r]`` and the shares N of the classes. By the Woodbury
    identity, ``x W^-1 M' = x M' (I - kept N M M')^-1``, so each labelling needs the solution of a system of the size
    of the number of classes. Classes without a known row are never predicted.

    Args:
        known: ``[seen, r]``, centred and whitened.
        labels: ``[B, seen]``.
        asked: ``[asked, r]``, the rows to classify.
        kept: the weight of the sample covariance in the shrunk one.
    """
    own = labels[:, None, :] == np.arange(classes)[:, None]
    counts = own.sum(axis=2)
    means = own.astype(np.float64) @ known / np.maximum(counts, 1)[:, :, None]
    shares = counts / labels.shape[1]
    inner = means @ means.transpose(0, 2, 1)
    system = np.linalg.inv(np.eye(classes) - kept * shares[:, :, None] * inner)
    closeness = asked @ means.transpose(0, 2, 1) @ system
    offsets = np.einsum("bij,bji->bi", inner, system) / 2
    scores = closeness - offsets[:, None, :] + np.log(np.maximum(shares, 1e-300))[:, None, :]
    return np.asarray(scores.argmax(axis=2), dtype=np.int64)
