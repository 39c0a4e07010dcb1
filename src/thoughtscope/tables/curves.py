"""curves.csv: a summary of the accuracy curve of each stage of each run, with intervals over items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from thoughtscope import schemas
from thoughtscope.evaluation.settings import Solving
from thoughtscope.statistics import paired_difference_interval, wilson_interval
from thoughtscope.tables.base import Table
from thoughtscope.tables.identity import as_table, named, run_of
from thoughtscope.tables.measurements import read_accuracy, read_correct, read_schedule
from thoughtscope.tables.solved import LINE, SOLVED, with_solved

WINDOW = 3  # measurements in the running mean that the end is compared with
_POINTS = ("start", "third", "peak", "end")


class Curves(Table):
    """A summary of the accuracy curve of each stage of each run."""

    READS = "runs"
    DEFAULT = True
    Settings = Solving
    COLUMNS = [
        "stage", "stage_index", "stages", "layout", "first_step", "last_step", "measurements", "n",
        *(f"{point}{suffix}" for point in _POINTS for suffix in ("_step", "", "_low", "_high")),
        *("best_window_step", "best_window", "late_drop", "late_drop_low", "late_drop_high"),
        *("change", "change_low", "change_high", "worse", *SOLVED),
    ]  # fmt: skip
    CAPTION = """
    One row for each stage of a run, from what was measured within that stage and with its own layout: accuracy at its
    start, at a third of it, at its peak and at its end. Only rows of the last stage compare between runs. The late
    drop is the best running mean of three measurements less the end, with an interval paired over questions; positive
    means that accuracy fell. ``change`` is the end less that of the stage before: ``worse`` marks what fell beyond
    chance.
    """
    settings: Solving

    def make(self, folders: Sequence[Path]) -> pd.DataFrame:
        """Return one row for each stage of each run folder, from the measurements within that stage.

        Each stage is measured with its own layout, so accuracies of different stages do not compare. To compare runs,
        use the row of the last stage, whose `layout` is ``last``. `accuracy.parquet` has that layout at every step.

        - first_step, last_step: the updates at which the stage starts and ends; measurements: their number.
        - start, third, peak, end: accuracy at the first measurement, at the one nearest to a third of the stage, at
          the (earliest) highest one and at the last, each with its step and Wilson interval.
        - best_window: the highest mean of three consecutive measurements; best_window_step: the step of the middle one.
        - late_drop: best_window minus end, with an interval paired by item. The window is selected on the same items,
          so a drop of about half the interval's width occurs by chance; judge by late_drop_low.
        - change: end minus the end of the stage before, paired by item; worse: whether its interval is below 0.
        - the columns `SOLVED`: whether the run ends at `settings.solved_at` or above, and how many seeds do.
        """
        confidence = self.settings.confidence
        rows = (
            {**named(run_of(folder), self.methods), **row} for folder in folders for row in _stages(folder, confidence)
        )
        table = as_table(rows, self.COLUMNS)
        return with_solved(table, table.groupby([*LINE, "seed"])["end"].transform("last"), self.settings)


def _stages(folder: Path, confidence: float) -> Iterator[dict[str, Any]]:
    measured, stages = read_accuracy(folder), read_schedule(folder)["stages"]
    correct = read_correct(folder, schemas.CURRENT)
    ends: list[pd.Series] = []
    for index, stage in enumerate(stages):
        last = index == len(stages) - 1
        within = correct[measured.loc[measured["stage_index"] == index, "step"]]
        ends.append(within.iloc[:, -1])
        yield {
            "stage": stage["name"],
            "stage_index": index,
            "stages": len(stages),
            "layout": schemas.LAST if last else schemas.CURRENT,
            "first_step": stage["first_step"],
            "last_step": stage["last_step"],
            "measurements": within.shape[1],
            "n": len(within),
            **_points(within, stage["first_step"], stage["last_step"], confidence),
            **late_drop(within, confidence),
            **(_change(ends[-2], ends[-1], confidence) if index else {}),
        }


def _points(correct: pd.DataFrame, first: int, last: int, confidence: float) -> dict[str, Any]:
    """Return start, third, peak and end of a stage; `correct` is 0 or 1, with a row per item and a column per step."""
    steps, accuracy = correct.columns.to_numpy(), correct.mean().to_numpy()
    third = first + (last - first) / 3
    at = {
        "start": 0,
        "third": int(np.abs(steps - third).argmin()),
        "peak": int(accuracy.argmax()),
        "end": len(steps) - 1,
    }
    found: dict[str, Any] = {}
    for point, place in at.items():
        found[f"{point}_step"], found[point] = steps[place], accuracy[place]
        right = int(correct.iloc[:, place].sum())
        found[f"{point}_low"], found[f"{point}_high"] = wilson_interval(right, len(correct), confidence)
    return found


def late_drop(correct: pd.DataFrame, confidence: float) -> dict[str, float]:
    """Return the highest running mean of three measurements and its difference to the last measurement.

    Args:
        correct: 0 or 1, with a row for each item and a column for each step, in ascending order.

    Returns:
        An empty mapping if there are fewer than three measurements.
    """
    if correct.shape[1] < WINDOW:
        return {}
    running = correct.mean().rolling(WINDOW).mean().to_numpy()[WINDOW - 1 :]
    first = int(running.argmax())
    inside = correct.iloc[:, first : first + WINDOW]
    low, high = paired_difference_interval(inside.mean(axis=1), correct.iloc[:, -1], confidence)
    return {
        "best_window_step": inside.columns[WINDOW // 2],
        "best_window": running[first],
        "late_drop": running[first] - correct.iloc[:, -1].mean(),
        "late_drop_low": low,
        "late_drop_high": high,
    }


def _change(before: pd.Series, end: pd.Series, confidence: float) -> dict[str, Any]:
    low, high = paired_difference_interval(end, before, confidence)
    return {"change": end.mean() - before.mean(), "change_low": low, "change_high": high, "worse": high < 0}
