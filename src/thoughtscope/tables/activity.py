"""activity.csv: every cell of the activity figures with its evidence, and trends of scores over layers and tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from thoughtscope import schemas
from thoughtscope.evaluation.settings import Intervals
from thoughtscope.settings import Count, Positive
from thoughtscope.statistics import bootstrap_interval
from thoughtscope.tables.base import Table
from thoughtscope.tables.identity import as_table

ACTIVITY, TRENDS = "activity", "trends"
NAMES = {1: "true", 0: "false"}


class Resampling(Intervals):
    """How confidence intervals of trends are resampled."""

    resamples: Positive = Field(1000, description="number of bootstrap samples of subjects for each interval")
    seed: Count = Field(0, description="seed of the resampling")


class Activity(Table):
    """Every cell of the activity figures with its evidence, and trends."""

    READS = "probes"
    PROBE_TABLE = ACTIVITY
    DEFAULT = True
    Settings = Resampling
    COLUMNS = [
        "row",
        "direction",
        "fitted_on",
        "example_id",
        "truth",
        "layer",
        "position",
        "distance",
        "token",
        "score",
        "ci_low",
        "ci_high",
        "n",
        "auroc",
        "accuracy",
        "p",
        "p_corrected",
        "evidence",
    ]
    CAPTION = """
    Every cell of the activity figures with its evidence on held-out statements, and the slopes of the score over
    layers and over tokens with intervals over subjects.
    """
    settings: Resampling

    def make(self, folders: Sequence[Path]) -> pd.DataFrame:
        """Return the rows of these probes' tables `activity` (cells) and `trends`.

        - row: `cell` (the score of one layer and token of a displayed response), `trend over layers` or
          `trend over tokens`.
        - fitted_on: the tokens that the direction was fitted on, `tokens` (all tokens of a predicate) or `last`.
        - truth: `true` or `false`; for a trend also `difference`, which is true minus false.
        - score: the score of the cell; for a trend, the mean over the test statements of the least-squares slope, per
          layer (of scores averaged over tokens) or per token (of scores averaged over layers). Only cells with evidence
          enter a trend. A trend has no example, layer, position or token.
        - ci_low, ci_high: interval of a trend, by resampling whole subjects, because tokens of a response depend on
          one another.
        - n, auroc, accuracy, p, p_corrected: for a cell, on the test statements that have a token at this layer and
          distance from the end; for a trend, n is the number of test statements.
        - evidence: whether the score of a cell tells true from false: `yes`, `no`, `untested` (too few test statements
          have a token there), `shared` (the other displayed response is identical up to this token).

        Raises:
            UserError: a folder lacks one of the tables.
        """
        return as_table((row for folder in folders for row in _rows(folder, self.settings)), self.COLUMNS)


def _rows(folder: Path, settings: Resampling) -> Iterator[dict[str, Any]]:
    for name in (ACTIVITY, TRENDS):
        frame = schemas.read_any(folder / f"tables/{name}.parquet", ("direction", "fitted_on", "label")).to_pandas()
        frame = frame.assign(truth=frame["label"].map(NAMES)).drop(columns="label")
        if name == ACTIVITY:
            yield from frame.assign(row="cell").to_dict("records")
        else:
            for _, part in frame.groupby(["direction", "fitted_on", "over"], sort=False):
                yield from _trends(part, settings)


def _trends(slopes: pd.DataFrame, settings: Resampling) -> Iterator[dict[str, Any]]:
    """Yield the mean slope of true and of false statements, and their difference."""
    subjects = slopes["subject"].unique()
    sums, counts = (
        slopes.pivot_table(index="subject", columns="truth", values="slope", aggfunc=how, fill_value=0)
        .reindex(index=subjects, columns=["true", "false"], fill_value=0)
        .to_numpy(dtype=np.float64)
        for how in ("sum", "count")
    )

    def means(chosen: NDArray[np.intp]) -> NDArray[np.float64]:
        total, number = sums[chosen].sum(axis=0), counts[chosen].sum(axis=0)
        true, false = np.where(number > 0, total / np.maximum(number, 1), np.nan)
        return np.array([true, false, true - false])

    low, high = bootstrap_interval(means, len(subjects), settings.confidence, settings.resamples, settings.seed)
    about = slopes[["task", "backbone", "direction", "fitted_on"]].iloc[0]
    numbers = [*counts.sum(axis=0), counts.sum()]
    value = means(np.arange(len(subjects)))
    for place, truth in enumerate(("true", "false", "difference")):
        if not np.isnan(value[place]):
            measured = {"score": value[place], "ci_low": low[place], "ci_high": high[place], "n": numbers[place]}
            row = {"row": f"trend over {slopes['over'].iloc[0]}", "truth": truth, **measured}
            yield {**{str(name): entry for name, entry in about.items()}, **row}
