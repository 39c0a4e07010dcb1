"""test_sets.csv: accuracy of every backbone and method on every test set and on their mean, with published values.

This is how LT-Tuning (arXiv 2602.10229) is reported. Seconds are in `results/benchmarks` and not here, because they
differ each time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from thoughtscope import schemas
from thoughtscope.errors import UserError
from thoughtscope.evaluation.seeds import accuracy_interval, difference_interval, solved
from thoughtscope.evaluation.settings import Solving
from thoughtscope.settings import Probability, Strict
from thoughtscope.tables.base import Table
from thoughtscope.tables.identity import run_of

MEAN = "mean"
GROUP = ["task", "backbone", "method", "trainable"]


class Published(Strict):
    """An accuracy that was published elsewhere."""

    backbone: str
    method: str
    split: str = Field("mean", description="a test set, or mean")
    accuracy: Probability
    source: str


class Comparison(Solving):
    """The baseline and the published accuracies to compare with."""

    baseline: str = Field("cot", description="the method that all others are compared with, paired by item and seed")
    published: list[Published] = Field([], description="published accuracies to list with ours")


@dataclass(frozen=True)
class Answers:
    """The answers of one group of runs to a test set.

    Args:
        right: whether each item was right, ``[items, seeds]``.
        overlap: number of items whose question, or thirteen words in a row of it, is in train or validation.
        cost: means over items and seeds.
    """

    right: pd.DataFrame
    overlap: int
    cost: dict[str, float]


class AllTestSets(Table):
    """All test sets and their mean, for every backbone and method."""

    READS = "runs"
    Settings = Comparison
    COLUMNS = [
        *GROUP, "label", "split", "seeds", "n", "overlap", "accuracy", "ci_low", "ci_high",
        "lowest_seed", "highest_seed", "seeds_solved", "solved_low", "solved_high", "accuracy_solved",
        "difference", "difference_low", "difference_high",
        "mean_visible_tokens", "mean_latents", "mean_forward_passes", "published", "published_source",
    ]  # fmt: skip
    CAPTION = """
    Accuracy of every backbone and method on each test set and on the sets' unweighted mean, seeds averaged, with an
    interval over questions and seeds; how many seeds solve the task, with the Wilson interval of their share, and the
    mean accuracy of those that do; the paired difference to the baseline; visible tokens, latents and serial forward
    passes of a response; the published value and its source where one is configured.
    """
    settings: Comparison

    def make(self, folders: Sequence[Path]) -> pd.DataFrame:
        """Return one row for each (task, backbone, method, trainable) and test set, and one for the mean of all sets.

        A split named `test, latents: 3` is `test` answered with 3 latents (`evaluation.latents`); no mean includes it.

        - n: number of items; overlap: how many of them occur in train or validation (`tasks.overlap`).
        - accuracy: mean over `seeds`, with an interval over items and seeds (`evaluation.seeds`); lowest_seed and
          highest_seed: their range. The mean over sets weights every set equally.
        - seeds_solved: number of seeds that end at `settings.solved_at` or above, with the Wilson interval of their
          share; accuracy_solved: the mean accuracy of these.
        - difference: accuracy minus that of `settings.baseline`, paired by item and seed.
        - mean_forward_passes: serial forward passes of a response (`latents.generate.Generation`). Latents that do not
          depend on the pass before cost none.

        Raises:
            UserError: a table is missing, or runs of one group were measured on different items.
        """
        settings, folders_of = self.settings, defaultdict[tuple[str, ...], list[Path]](list)
        for folder in folders:
            run = run_of(folder)
            folders_of[run.task, run.backbone, run.method, run.trainable].append(folder)
        groups = {key: _answers(part) for key, part in sorted(folders_of.items())}
        rows = []
        for key, sets in groups.items():
            base = groups.get((key[0], key[1], settings.baseline, key[3]), {})
            named = dict(zip(GROUP, key, strict=True), label=self.methods.get(key[2], key[2]))
            for split, part in {**{split: [split] for split in sets}, MEAN: _own(sets)}.items():
                measured = _measured({one: sets[one] for one in part}, settings)
                difference = {} if base is sets else _difference(part, sets, base, settings)
                rows.append({**named, "split": split, **measured, **difference, **_published(settings, key, split)})
        return pd.DataFrame(rows, columns=self.COLUMNS)


def _own(splits: Iterable[str]) -> list[str]:
    """Return the test sets themselves, without those that were answered with another number of latents."""
    return [split for split in splits if schemas.OTHER_LATENTS not in split]


def _answers(folders: Sequence[Path]) -> dict[str, Answers]:
    """Return the final answers of the runs of a group to every test set.

    Raises:
        UserError: its runs were measured on different items.
    """
    parts = []
    for folder in folders:
        frame: pd.DataFrame = schemas.read(folder / "predictions.parquet", schemas.PREDICTIONS).to_pandas()
        last = frame[(frame["step"] == frame["step"].max()) & (frame["layout"] == schemas.LAST)]
        parts.append(last.assign(seed=run_of(folder).seed))
    found = {}
    for split, items in pd.concat(parts).groupby("split"):
        right = items.pivot(index="example_id", columns="seed", values="correct")
        if right.isna().to_numpy().any():
            raise _different(str(split))
        cost = {
            "mean_visible_tokens": items["visible_tokens"].mean(),
            "mean_latents": items["latents"].mean(),
            "mean_forward_passes": items["forward_passes"].mean(),
        }
        overlap = int(items.groupby("example_id")["overlap"].first().notna().sum())
        found[str(split)] = Answers(right.astype(float), overlap, cost)
    return found


def _measured(sets: Mapping[str, Answers], settings: Comparison) -> dict[str, Any]:
    """Return the columns for some test sets together, each weighted equally."""
    seeds = pd.DataFrame({split: one.right.mean() for split, one in sets.items()}).mean(axis=1)
    each = [(one.right.mean(), len(one.right)) for one in sets.values()]
    low, high = accuracy_interval(each, settings.confidence, settings.solved_at)
    return {
        "seeds": len(seeds),
        "n": sum(len(one.right) for one in sets.values()),
        "overlap": sum(one.overlap for one in sets.values()),
        "accuracy": seeds.mean(),
        "ci_low": low,
        "ci_high": high,
        "lowest_seed": seeds.min(),
        "highest_seed": seeds.max(),
        **_solved(seeds, settings),
        **pd.DataFrame([one.cost for one in sets.values()]).mean(),
    }


def _solved(seeds: pd.Series, settings: Comparison) -> dict[str, Any]:
    if settings.solved_at is None:
        return {}
    found = solved(seeds, settings.solved_at, settings.confidence)
    ends = {"solved_low": found.low, "solved_high": found.high}
    return {"seeds_solved": found.count, **ends, "accuracy_solved": found.accuracy}


def _difference(
    splits: Sequence[str], ours: Mapping[str, Answers], theirs: Mapping[str, Answers], settings: Comparison
) -> dict[str, float]:
    """Return the difference to the baseline, paired by item, over the seeds that both have."""
    pairs = []
    for split in splits:
        if split not in theirs:
            return {}
        a, b = ours[split].right, theirs[split].right
        if not a.index.equals(b.index):
            raise _different(split)
        seeds = a.columns.intersection(b.columns)
        if seeds.empty:
            return {}
        pairs.append((a[seeds].to_numpy(), b[seeds].to_numpy()))
    mean, (low, high) = difference_interval(pairs, settings.confidence, settings.solved_at)
    return {"difference": mean, "difference_low": low, "difference_high": high}


def _different(split: str) -> UserError:
    return UserError("test_sets", f"runs were measured on different items of {split}", "train them again")


def _published(settings: Comparison, key: tuple[str, ...], split: str) -> dict[str, Any]:
    for one in settings.published:
        if (one.backbone, one.method, one.split) == (key[1], key[2], split) and key[3] == "full":
            return {"published": one.accuracy, "published_source": one.source}
    return {}
