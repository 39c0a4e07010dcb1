"""test_sets.csv: every backbone and method on every test set and on their mean, beside what was published.

The form in which LT-Tuning (arXiv 2602.10229) is reported. Seconds are no column: they differ each time a run is made,
and stand in `results/benchmarks`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
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
    """An accuracy that was published elsewhere, to stand beside ours."""

    backbone: str
    method: str
    split: str = Field("mean", description="a test set, or mean")
    accuracy: Probability
    source: str


class Comparison(Solving):
    """What accuracies are compared with."""

    baseline: str = Field("cot", description="the method that others are compared with, pair by pair")
    published: list[Published] = Field([], description="accuracies that stand beside ours")


@dataclass(frozen=True)
class Answers:
    """What the runs of one group said to a test set.

    Args:
        right: which items were right: rows of items, columns of seeds.
        overlap: items whose question is in train, whole or thirteen words in a row, or in validation.
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
        """Return one row for each (task, backbone, method, trainable) and test set, and one for the sets' mean.

        overlap is the number of items that training or the choice of stages has seen (`tasks.overlap`). accuracy is the
        mean over `seeds`, lowest_seed and highest_seed are the ends of their range; n counts items, the mean weighs
        every set alike. Intervals are over items and seeds (`evaluation.seeds`). seeds_solved of the seeds end at
        `settings.solved_at` or above, with Wilson's interval of their share; accuracy_solved is the mean of these.
        difference is that to `settings.baseline` on the same items and seeds, paired. mean_forward_passes are the
        serial forward passes of a response (`latents.generate.Generation`): latents that wait for no pass before cost
        none.

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
            for split, part in {**{split: [split] for split in sets}, MEAN: list(sets)}.items():
                measured = _measured({one: sets[one] for one in part}, settings)
                difference = {} if base is sets else _difference(part, sets, base, settings)
                rows.append({**named, "split": split, **measured, **difference, **_published(settings, key, split)})
        return pd.DataFrame(rows, columns=self.COLUMNS)


def _answers(folders: Sequence[Path]) -> dict[str, Answers]:
    """Return the last answers of a group's runs to every test set.

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
    """Return what is known of some test sets together, each weighing alike."""
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
    """Return the difference to the baseline, item by item, over the seeds that both have."""
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
