"""The points of accuracy figures: a line for each (trainable, backbone), with its stage switches."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from pydantic import Field

from thoughtscope.errors import UserError
from thoughtscope.evaluation.seeds import accuracy_interval, solved
from thoughtscope.evaluation.settings import Solving
from thoughtscope.figures.base import Figure
from thoughtscope.figures.looks import Series
from thoughtscope.schemas import LAST

MEASURED, SWITCH = "measured", "stage switch"
POINTS = [
    *("series", "line", "task", "method", "backbone", "trainable", "mark", "step", "accuracy", "ci_low", "ci_high"),
    *("lowest_seed", "highest_seed", "n", "seeds", "seeds_solved", "solved_low", "solved_high"),
]
Keys = tuple[str, ...]


class AccuracySettings(Solving):
    """Settings of the accuracy figures."""

    split: str = Field("test", description="the split whose accuracy is drawn")


class AccuracyFigure(Figure):
    """Accuracy against training step; subclasses decide what the lines are."""

    READS = "runs"
    Settings = AccuracySettings
    CAPTION = """
    Every point answers with the layout of the method's last stage, also before that stage has begun, so that lines
    compare at one step; a tick marks where a stage ends. With one seed the band is the Wilson interval over questions.
    With several, the line is their mean, the band reaches from the lowest to the highest seed, and the legend counts
    the seeds that solve the task, with the Wilson interval of their share; a line of which some seeds solve it and
    some do not is thin. The CSV holds the intervals of the mean over questions and seeds too. ``curves.csv`` describes
    each stage.
    """
    settings: AccuracySettings


def curves(rows: pd.DataFrame, series: Mapping[str, Series], by: Keys, options: AccuracySettings) -> pd.DataFrame:
    """Return the points of every line, averaged over seeds.

    Args:
        rows: `schemas.ACCURACY` of one task and one method. Only accuracies with the layout of the last stage are used,
            so that all points compare.
        series: label and look of each line.
        by: the columns whose values, joined by spaces, are the key of a line in `series`.

    Returns:
        Columns `POINTS`, in the order of `series`. Rows marked "measured" have the mean accuracy, its interval over
        items and seeds, and the lowest and highest seed, at the steps that all seeds measured; runs that end earlier
        keep their last accuracy. Rows marked "stage switch" are the points of the line at which the stages of a seed
        end, except the last.

    Raises:
        UserError: there is no row of the split, or runs are of several tasks or methods.
    """
    rows = rows[(rows["split"] == options.split) & (rows["layout"] == LAST)]
    if rows.empty:
        raise UserError("figure", f"no accuracy of split {options.split!r}", "name a split that runs measure")
    for column in ("task", "method"):
        several = sorted(rows[column].unique())
        if len(several) > 1:
            raise UserError("figure", f"its runs mix {column}s {', '.join(several)}", f"name one {column} in its runs")
    keys = rows[list(by)].agg(" ".join, axis=1)
    lines = dict(iter(rows.groupby(keys)))
    points = [_line(lines[key], options).assign(series=key, line=series[key].label) for key in series if key in lines]
    return pd.concat(points, ignore_index=True)[POINTS]


def _line(rows: pd.DataFrame, options: AccuracySettings) -> pd.DataFrame:
    seeds = rows["seed"].nunique()
    rows = _extended(rows.reset_index(drop=True))
    grouped = rows.groupby("step").agg(
        accuracy=("accuracy", "mean"),
        each=("accuracy", list),
        lowest_seed=("accuracy", "min"),
        highest_seed=("accuracy", "max"),
        n=("n", "first"),
        seeds=("seed", "nunique"),
    )
    grouped = grouped[grouped["seeds"] == seeds].reset_index()
    intervals = [
        accuracy_interval([(each, int(n))], options.confidence, options.solved_at)
        for each, n in zip(grouped["each"], grouped["n"], strict=True)
    ]
    grouped[["ci_low", "ci_high"]] = np.array(intervals)
    line = pd.concat([grouped.assign(mark=MEASURED), _switches(rows, grouped)], ignore_index=True)
    if options.solved_at is not None:
        final = rows.sort_values("step").groupby("seed")["accuracy"].last()
        found = solved(final, options.solved_at, options.confidence)
        line[["seeds_solved", "solved_low", "solved_high"]] = [found.count, found.low, found.high]
    else:
        line[["seeds_solved", "solved_low", "solved_high"]] = np.nan
    return line.assign(**rows.iloc[0][["task", "method", "backbone", "trainable"]])


def _extended(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a line, in which runs that end early repeat their last row at later steps."""
    parts = [rows]
    for _, run in rows.groupby("seed"):
        later = sorted(step for step in rows["step"].unique() if step > run["step"].max())
        parts += [run.loc[[run["step"].idxmax()]].assign(step=step) for step in later]
    return pd.concat(parts, ignore_index=True)


def _switches(rows: pd.DataFrame, line: pd.DataFrame) -> pd.DataFrame:
    """Return the points of the line at which the stages of each seed end, except the last."""
    last = rows.groupby("seed")["stage_index"].transform("max")
    ends = rows[rows["stage_index"] < last].groupby(["seed", "stage_index"])["step"].max()
    steps = np.sort(ends.to_numpy())
    return pd.DataFrame({"step": steps, "accuracy": np.interp(steps, line["step"], line["accuracy"]), "mark": SWITCH})
