"""Reads what a run measured while it trained: its accuracy at each step, and which items were right."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from thoughtscope import tables
from thoughtscope.errors import UserError

SPLIT = "test"


def read_accuracy(folder: Path) -> pd.DataFrame:
    """Return a run's `tables.ACCURACY` rows of the test split, by step, beginning with step 0.

    Raises:
        UserError: there is no such table, or step 0 was not measured.
    """
    path = folder / "accuracy.parquet"
    frame: pd.DataFrame = tables.read(path, tables.ACCURACY).to_pandas()
    frame = frame[frame["split"] == SPLIT].sort_values("step", ignore_index=True)
    if frame.empty or frame["step"].iloc[0] != 0:
        raise UserError(str(path), "step 0 was not measured", "train the run again")
    return frame


def read_correct(folder: Path) -> pd.DataFrame:
    """Return which test items were right, as a frame of 0 and 1: one row an item, one column a step.

    Raises:
        UserError: there is no such table, or the steps were not measured on the same items.
    """
    path = folder / "predictions.parquet"
    frame: pd.DataFrame = tables.read(path, tables.PREDICTIONS).to_pandas()
    frame = frame[frame["split"] == SPLIT]
    wide = frame.pivot(index="example_id", columns="step", values="correct")
    if wide.isna().to_numpy().any():
        raise UserError(str(path), "its steps were measured on different items", "train the run again")
    return wide.astype(float)
