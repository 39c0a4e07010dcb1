"""What interventions on latents change, with intervals paired by question and, over several seeds, for other seeds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thoughtscope.evaluation.seeds import accuracy_interval, difference_interval
from thoughtscope.statistics import bootstrap_interval

KEYS = ["task", "backbone", "method", "trainable"]
NONE = "none"
MOST_LOST = 0.05  # of the accuracy: a latent whose exchange may cost more is not called inert
Values = NDArray[np.float64]


def effect_rows(effects: pd.DataFrame, confidence: float, *, resamples: int = 1000) -> Iterator[dict[str, Any]]:
    """Yield a row for each group of runs that differ in their seed, intervention and latent.

    Args:
        effects: rows of the probe table `effects` of any runs.
        resamples: of questions, behind the intervals of log-probabilities.
    """
    for keys, group in effects.groupby(KEYS, sort=True):
        before = group[group["intervention"] == NONE].set_index(["seed", "example_id"])
        changed = group[group["intervention"] != NONE]
        for place, part in changed.groupby(["intervention", "latent_index"], sort=False):
            about = dict(zip([*KEYS, "intervention", "latent_index"], [*keys, *place], strict=True))
            yield about | _effect(part, before, confidence, resamples)


def _effect(part: pd.DataFrame, before: pd.DataFrame, confidence: float, resamples: int) -> dict[str, Any]:
    seeds = sorted(part["seed"].unique())
    now = part.set_index(["seed", "example_id"])
    base = before.loc[now.index]
    right, was = (_by_question(one["correct"].astype(float)) for one in (now, base))
    n, changes = len(right), right - was
    row: dict[str, Any] = {"seeds": len(seeds), "n": n}
    row |= {"accuracy_before": _mean(was), "accuracy": _mean(right), "accuracy_change": _mean(changes)}
    row["change_low"], row["change_high"] = _difference(right, was, confidence)
    gold = now["gold_logprob"].astype(float) - base["gold_logprob"].astype(float)
    table = gold.unstack("seed")
    answered = int(table.notna().to_numpy().sum())
    row |= {"answered": answered / len(part), "logprob_before": float(base["gold_logprob"].mean())}
    row |= {"logprob": float(now["gold_logprob"].mean()), "logprob_change": float(gold.mean()) if answered else np.nan}
    row["logprob_low"], row["logprob_high"] = _mean_interval(table.to_numpy(dtype=np.float64), confidence, resamples)
    return row | _donor(part, confidence)


def _by_question(scores: pd.Series) -> Values:
    """Return scores ``[questions, seeds]``; NaN where a question's response in a seed has no such latent."""
    values: Values = scores.unstack("seed").to_numpy(dtype=np.float64)
    return values


def _mean(scores: Values) -> float:
    return float(np.nanmean(scores, axis=0).mean())


def _difference(now: Values, before: Values, confidence: float) -> tuple[float, float]:
    """Return the paired interval of the mean change; questions that some seed lacks are left out of it."""
    whole = ~np.isnan(now).any(axis=1)
    if not whole.any():
        return float("nan"), float("nan")
    return difference_interval([(now[whole], before[whole])], confidence)[1]


def _mean_interval(changes: Values, confidence: float, resamples: int) -> tuple[float, float]:
    """Return the interval of the mean of ``changes [questions, seeds]``, by resampling questions with all seeds."""
    if np.isnan(changes).all() or len(changes) < 2:
        return float("nan"), float("nan")
    total, count = np.nansum(changes, axis=1), (~np.isnan(changes)).sum(axis=1)

    def mean(rows: NDArray[np.intp]) -> float:
        return float(total[rows].sum() / count[rows].sum()) if count[rows].any() else float("nan")

    low, high = bootstrap_interval(mean, len(changes), confidence, resamples)
    return float(low), float(high)


def donor_rows(effects: pd.DataFrame, intervention: str, confidence: float) -> Iterator[dict[str, Any]]:
    """Yield, for each group of runs, latent and step, the share of answers that follow from the donor's value."""
    chosen = effects[effects["intervention"] == intervention]
    for keys, part in chosen.groupby([*KEYS, "latent_index"], sort=True):
        about = dict(zip([*KEYS, "latent_index"], keys, strict=True)) | {"intervention": intervention}
        yield from ({**about, **one} for one in donor_shares(part, confidence))


def donor_shares(part: pd.DataFrame, confidence: float) -> list[dict[str, Any]]:
    """Return, for each step, the share of answers that follow from the donor's value of that step.

    Args:
        part: rows of `effects` of one intervention and latent, whose vectors come from a donor.

    Returns:
        target: the step, from 1; 0: the donor's answer. donor_n: answers of questions whose value differs from the
        donor's, donor_share of them with its interval.
    """
    rows = part[["seed", "example_id", "differs", "follows"]].explode("differs").dropna(subset="differs")
    rows["followed"] = [float(step in follows) for step, follows in zip(rows["differs"], rows["follows"], strict=True)]
    found = []
    for target, one in rows.groupby("differs"):
        by_seed = one.groupby("seed")["followed"].agg(["mean", "size"])
        low, high = accuracy_interval([(by_seed["mean"], int(by_seed["size"].min()))], confidence)
        shares = {"donor_share": float(by_seed["mean"].mean()), "donor_low": low, "donor_high": high}
        found.append({"target": int(str(target)), "donor_n": len(one), **shares})
    return found


def _donor(part: pd.DataFrame, confidence: float) -> dict[str, Any]:
    """Return the step whose value the answers follow most, if vectors come from donors."""
    return max(donor_shares(part, confidence), key=lambda one: one["donor_share"], default={})


def inert_latents(effects: pd.DataFrame, most: float = MOST_LOST, confidence: float = 0.95) -> dict[str, list[int]]:
    """Return, for each method, the latents whose exchange between questions costs at most `most` of the accuracy.

    The lower end of the interval decides, so a latent that few questions reach is not among them.
    """
    found: dict[str, list[int]] = {}
    swaps = effects[effects["intervention"].isin([NONE, "swap"])]
    for row in effect_rows(swaps, confidence, resamples=1):
        found.setdefault(row["method"], []).extend([int(row["latent_index"])] * (row["change_low"] >= -most))
    return found
