"""summary.csv: one row a run, as it ended. Knows nothing about how it got there (see `curves`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from thoughtscope.errors import UserError
from thoughtscope.evaluation.identity import as_table, named, run_of
from thoughtscope.evaluation.measurements import read_accuracy
from thoughtscope.evaluation.settings import TableSettings

_AT_THE_END = ["accuracy", "ci_low", "ci_high", "n", "mean_latents", "mean_visible_tokens"]
COLUMNS = [*_AT_THE_END, "start_accuracy", "updates", "tokens"]


def summary(folders: Sequence[Path], settings: TableSettings) -> pd.DataFrame:
    """Return one row for each run folder.

    accuracy, its interval, n, mean_latents and mean_visible_tokens are those of the last measured step;
    start_accuracy is that of step 0; updates and tokens are what the run used for training.

    Raises:
        UserError: a table or `schedule.json` is missing.
    """
    return as_table((_row(folder, settings) for folder in folders), COLUMNS)


def _row(folder: Path, settings: TableSettings) -> dict[str, Any]:
    measured = read_accuracy(folder)
    last = measured.iloc[-1]
    return {
        **named(run_of(folder), settings.methods),
        **{name: last[name] for name in _AT_THE_END},
        "start_accuracy": measured["accuracy"].iloc[0],
        **_spent(folder / "schedule.json"),
    }


def _spent(path: Path) -> dict[str, int]:
    try:
        schedule = json.loads(path.read_text())
        return {"updates": int(schedule["updates"]), "tokens": int(schedule["tokens"])}
    except (OSError, ValueError, KeyError) as error:
        raise UserError(str(path), "no readable schedule with updates and tokens", "train the run again") from error
