"""benchmark.csv: every backbone and method on every test set and on their mean, beside what was published.

The form in which LT-Tuning (arXiv 2602.10229) is reported. Seconds are no column: they differ each time a run is made,
and stand in `results/benchmarks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from thoughtscope import tables
from thoughtscope.config.run import Run
from thoughtscope.errors import UserError
from thoughtscope.evaluation.identity import run_of
from thoughtscope.evaluation.settings import TableSettings
from thoughtscope.evaluation.statistics import paired_difference_interval, wilson_interval

MEAN = "mean"
GROUP = ["task", "backbone", "method", "trainable"]
COLUMNS = [
    *GROUP, "label", "split", "seeds", "n", "accuracy", "ci_low", "ci_high",
    "difference", "difference_low", "difference_high",
    "mean_visible_tokens", "mean_latents", "mean_forward_passes", "published", "published_source",
]  # fmt: skip


def benchmark(folders: Sequence[Path], settings: TableSettings) -> pd.DataFrame:
    """Return one row for each (task, backbone, method, trainable) and test set, seeds taken together, and their mean.

    accuracy has the Wilson interval of all seeds' items; the mean weighs every set alike, and its interval is that of
    independent sets. difference is that to `settings.baseline` on the same items and seeds, paired.
    mean_forward_passes are those of a response that is generated one position at a time.

    Raises:
        UserError: a table is missing, or runs of one group were measured on different items.
    """
    answers = {run_of(folder): _answers(folder) for folder in folders}
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in answers:
        groups.setdefault((run.task, run.backbone, run.method, run.trainable), []).append(run)
    rows = []
    for key, runs in sorted(groups.items()):
        base = groups.get((key[0], key[1], settings.baseline, key[3]), [])
        found = list(_sets([answers[run] for run in runs], [answers[run] for run in base], runs, base, settings))
        for row in [*found, _mean(found)]:
            named = dict(zip(GROUP, key, strict=True), label=settings.methods.get(key[2], key[2]))
            rows.append({**named, **row, **_published(settings, key, row["split"])})
    return pd.DataFrame(rows, columns=COLUMNS)


def _answers(folder: Path) -> pd.DataFrame:
    """Return a run's last answers to every test set, one row an item."""
    frame: pd.DataFrame = tables.read(folder / "predictions.parquet", tables.PREDICTIONS).to_pandas()
    last: pd.DataFrame = frame[frame["step"] == frame["step"].max()]
    return last


def _sets(
    ours: list[pd.DataFrame], theirs: list[pd.DataFrame], runs: list[Run], base: list[Run], settings: TableSettings
) -> Iterator[dict[str, Any]]:
    for split in sorted(ours[0]["split"].unique()):
        parts = [frame[frame["split"] == split] for frame in ours]
        items = pd.concat(parts)
        low, high = wilson_interval(int(items["correct"].sum()), len(items), settings.confidence)
        yield {
            "split": split,
            "seeds": len(runs),
            "n": len(items),
            "accuracy": items["correct"].mean(),
            "ci_low": low,
            "ci_high": high,
            **_difference(split, dict(zip(runs, ours, strict=True)), dict(zip(base, theirs, strict=True)), settings),
            "mean_visible_tokens": items["visible_tokens"].mean(),
            "mean_latents": items["latents"].mean(),
            "mean_forward_passes": (items["visible_tokens"] + items["latents"] + 1).mean(),
        }


def _difference(
    split: str, ours: dict[Run, pd.DataFrame], theirs: dict[Run, pd.DataFrame], settings: TableSettings
) -> dict[str, float]:
    """Return the difference to the baseline, averaged over the seeds that both have, item by item."""
    scores = [_scores(group, split, set(_seeds(ours)) & set(_seeds(theirs))) for group in (ours, theirs)]
    if scores[0] is None or scores[1] is None or ours.keys() == theirs.keys():
        return {}
    if not scores[0].index.equals(scores[1].index):
        raise UserError("benchmark", f"runs were measured on different items of {split}", "train them again")
    a, b = scores[0].to_numpy(), scores[1].to_numpy()
    low, high = paired_difference_interval(a, b, settings.confidence)
    return {"difference": float(np.mean(a - b)), "difference_low": low, "difference_high": high}


def _seeds(group: dict[Run, pd.DataFrame]) -> list[int]:
    return [run.seed for run in group]


def _scores(group: dict[Run, pd.DataFrame], split: str, seeds: set[int]) -> pd.Series | None:
    """Return each item's mean score over `seeds`."""
    parts = [frame[frame["split"] == split] for run, frame in group.items() if run.seed in seeds]
    if not parts:
        return None
    scores: pd.Series = pd.concat(parts).groupby("example_id")["correct"].mean().astype(float).sort_index()
    return scores


def _mean(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the unweighted mean over test sets; half-widths of independent sets add in squares."""
    table = pd.DataFrame(rows)
    middle = table["accuracy"].mean()
    low = middle - np.sqrt(((table["accuracy"] - table["ci_low"]) ** 2).sum()) / len(table)
    high = middle + np.sqrt(((table["ci_high"] - table["accuracy"]) ** 2).sum()) / len(table)
    means = {name: table[name].mean() for name in table.columns if name.startswith("mean_")}
    own = {"split": MEAN, "seeds": table["seeds"].iloc[0], "n": table["n"].sum()}
    difference = {"difference": table["difference"].mean()} if "difference" in table else {}
    return {**own, "accuracy": middle, "ci_low": low, "ci_high": high, **difference, **means}


def _published(settings: TableSettings, key: tuple[str, ...], split: str) -> dict[str, Any]:
    for one in settings.published:
        if (one.backbone, one.method, one.split) == (key[1], key[2], split) and key[3] == "live":
            return {"published": one.accuracy, "published_source": one.source}
    return {}
