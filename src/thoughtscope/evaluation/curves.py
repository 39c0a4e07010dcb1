"""curves.csv: the shape of each run's accuracy curve in a few numbers, with intervals over its items."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from thoughtscope.evaluation.identity import as_table, named, run_of
from thoughtscope.evaluation.measurements import read_accuracy, read_correct
from thoughtscope.evaluation.settings import TableSettings
from thoughtscope.evaluation.statistics import paired_difference_interval, wilson_interval

WINDOW = 3  # measurements in the running mean that the end is held against
_POINTS = ("start", "third", "peak", "end")
COLUMNS = [
    "n",
    *(f"{point}{suffix}" for point in _POINTS for suffix in ("_step", "", "_low", "_high")),
    "best_window_step",
    "best_window",
    "late_drop",
    "late_drop_low",
    "late_drop_high",
]


def curves(folders: Sequence[Path], settings: TableSettings) -> pd.DataFrame:
    """Return one row for each run folder.

    - start, third, peak, end: accuracy at step 0, at the measured step nearest to a third of the steps, at
      its highest (the earliest such step) and at the last step, each with its step and Wilson interval.
    - best_window: the best mean of three neighbouring measurements, best_window_step the step of the middle one.
    - late_drop: best_window minus end, positive where accuracy was lost; its interval is paired by item.
      The window is the best one of many and chosen on the same items, so a drop of about its interval's
      half width comes by chance: look at late_drop_low.
    """
    return as_table((_row(folder, settings) for folder in folders), COLUMNS)


def _row(folder: Path, settings: TableSettings) -> dict[str, Any]:
    measured = read_accuracy(folder)
    steps, accuracy = measured["step"].to_numpy(), measured["accuracy"].to_numpy()
    at = {
        "start": 0,
        "third": int(np.abs(steps - steps[-1] / 3).argmin()),
        "peak": int(accuracy.argmax()),
        "end": len(steps) - 1,
    }
    row: dict[str, Any] = {**named(run_of(folder), settings.methods), "n": measured["n"].iloc[-1]}
    for point, place in at.items():
        one = measured.iloc[place]
        row[f"{point}_step"], row[point] = one["step"], one["accuracy"]
        row[f"{point}_low"], row[f"{point}_high"] = wilson_interval(one["correct"], one["n"], settings.confidence)
    return row | late_drop(read_correct(folder)[steps], settings.confidence)


def late_drop(correct: pd.DataFrame, confidence: float) -> dict[str, float]:
    """Return the best running mean of three measurements, and how far the end lies below it.

    Args:
        correct: 0 and 1, one row an item, one column a step; the columns rise.

    Returns:
        Nothing where there are fewer than three measurements.
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
