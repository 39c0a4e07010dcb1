"""Reads what was measured during training: the accuracy at each step, and which items were right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from thoughtscope import schemas
from thoughtscope.errors import UserError

SPLIT = "test"
FIX = "train the run again"


def read_accuracy(folder: Path) -> pd.DataFrame:
    """Return a run's `schemas.ACCURACY` rows of the test split with the last stage's layout, from step 0 on.

    Raises:
        UserError: there is no such table, or step 0 was not measured.
    """
    path = folder / "accuracy.parquet"
    frame: pd.DataFrame = schemas.read(path, schemas.ACCURACY).to_pandas()
    frame = frame[(frame["split"] == SPLIT) & (frame["layout"] == schemas.LAST)]
    frame = frame.sort_values("step", ignore_index=True)
    if frame.empty or frame["step"].iloc[0] != 0:
        raise UserError(str(path), "step 0 was not measured", FIX)
    return frame


def read_answers(folder: Path) -> pd.DataFrame:
    """Return a run's `schemas.PREDICTIONS` rows of the test split."""
    frame: pd.DataFrame = schemas.read(folder / "predictions.parquet", schemas.PREDICTIONS).to_pandas()
    return frame[frame["split"] == SPLIT]


def read_correct(folder: Path, layout: str) -> pd.DataFrame:
    """Return which test items were right, as a frame of 0 and 1 with a row for each item and a column for each step.

    Args:
        layout: ``last`` or ``current``, the stage whose layout was used. If both are the same, only ``last`` is stored.

    Raises:
        UserError: there is no such table, or the steps were not measured on the same items.
    """
    frame = read_answers(folder)
    if layout == schemas.CURRENT:
        own = frame["layout"] == schemas.CURRENT
        frame = frame[own | ~frame["step"].isin(frame.loc[own, "step"])]
    else:
        frame = frame[frame["layout"] == layout]
    wide = frame.pivot(index="example_id", columns="step", values="correct")
    if wide.isna().to_numpy().any():
        raise UserError(str(folder / "predictions.parquet"), "its steps were measured on different items", FIX)
    return wide.astype(float)


def read_schedule(folder: Path) -> dict[str, Any]:
    """Return a run's `schedule.json`: the stages as they were realised, the number of updates and tokens.

    Raises:
        UserError: the file is missing or lacks a key.
    """
    path = folder / "schedule.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        needed = {key: found[key] for key in ("stages", "updates", "labelled_tokens", "positions")}
        return {**needed, "unlearned": found.get("unlearned"), "best": found.get("best")}
    except (OSError, ValueError, KeyError) as error:
        raise UserError(str(path), "no readable schedule with stages, updates and tokens", FIX) from error
