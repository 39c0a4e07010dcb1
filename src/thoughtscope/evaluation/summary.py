"""summary.csv: one row a run, as it ended. Knows nothing about how it got there (see `curves`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from thoughtscope import schemas
from thoughtscope.evaluation.identity import as_table, named, run_of
from thoughtscope.evaluation.measurements import read_accuracy, read_answers, read_schedule
from thoughtscope.evaluation.settings import TableSettings
from thoughtscope.evaluation.solved import SOLVED, with_solved

_AT_THE_END = ["accuracy", "ci_low", "ci_high", "n"]
_COST = ["mean_latents", "mean_visible_tokens", "mean_forward_passes"]
_STOPPED = [f"stopped_{how}" for how in schemas.STOPPED]
_SPENT = ["updates", "labelled_tokens", "positions"]
COLUMNS = [*_AT_THE_END, *SOLVED, *_COST, *_STOPPED, "start_accuracy", *_SPENT]


def summary(folders: Sequence[Path], settings: TableSettings) -> pd.DataFrame:
    """Return one row for each run folder.

    - accuracy, its interval, n, and means of a response (latents, text tokens, serial forward passes): of the last
      measured step. stopped_eos, stopped_length, stopped_loop: the shares of its responses that ended with an EOS
      token, at `evaluation.max_new_tokens` and as a loop.
    - the columns `SOLVED`: whether the run's accuracy is at least `settings.solved_at`, and how many seeds' is.
    - start_accuracy: at step 0, with the same layout.
    - updates, labelled_tokens (those that the loss is taken at), positions (prompts, text and latents): what the run
      used for training.

    Raises:
        UserError: a table or `schedule.json` is missing.
    """
    table = as_table((_row(folder, settings) for folder in folders), COLUMNS)
    return with_solved(table, table["accuracy"], settings)


def _row(folder: Path, settings: TableSettings) -> dict[str, Any]:
    measured, answers = read_accuracy(folder), read_answers(folder)
    last, schedule = measured.iloc[-1], read_schedule(folder)
    ended = answers[(answers["step"] == last["step"]) & (answers["layout"] == schemas.LAST)]["stopped"]
    return {
        **named(run_of(folder), settings.methods),
        **{name: last[name] for name in (*_AT_THE_END, *_COST)},
        **{f"stopped_{how}": (ended == how).mean() for how in schemas.STOPPED},
        "start_accuracy": measured["accuracy"].iloc[0],
        **{name: schedule[name] for name in _SPENT},
    }
