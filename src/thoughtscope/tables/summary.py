"""summary.csv: the final state of each run. The course of training is in `curves`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from thoughtscope import schemas
from thoughtscope.evaluation.settings import Solving
from thoughtscope.tables.base import Table
from thoughtscope.tables.identity import as_table, named, run_of
from thoughtscope.tables.measurements import read_accuracy, read_answers, read_schedule
from thoughtscope.tables.solved import SOLVED, with_solved

_AT_THE_END = ["accuracy", "ci_low", "ci_high", "n"]
_COST = ["mean_latents", "mean_visible_tokens", "mean_forward_passes"]
_STOPPED = [f"stopped_{how}" for how in schemas.STOPPED]
_BEST = ["best_step", "best_validation", "best_accuracy"]
_SPENT = ["updates", "labelled_tokens", "positions"]


class Summary(Table):
    """The final state of each run."""

    READS = "runs"
    DEFAULT = True
    Settings = Solving
    COLUMNS = [*_AT_THE_END, *SOLVED, *_COST, *_STOPPED, "start_accuracy", *_BEST, *_SPENT, "unlearned_stage"]
    CAPTION = """
    One row a run: final accuracy on the test split with its Wilson interval; whether the run solves the task, and how
    many seeds do, with the Wilson interval of their share; mean latents, text tokens and serial forward passes of a
    response; the shares of responses that ended by themselves, at the longest length, or as a loop; accuracy before
    training with the same layout; the measured step with the highest validation accuracy, that accuracy, and the one on
    the test split there; optimiser updates, labelled tokens (those that the loss is taken at) and positions
    (prompts, text and latents); and the stage that the run did not learn, if its budget of updates ended there.
    """
    settings: Solving

    def make(self, folders: Sequence[Path]) -> pd.DataFrame:
        """Return one row for each run folder.

        - accuracy, its interval, n, and means per response (latents, text tokens, serial forward passes): at the last
          measured step. stopped_eos, stopped_length, stopped_loop: the shares of its responses that ended with an EOS
          token, at `evaluation.max_new_tokens`, and because they repeated themselves.
        - the columns `SOLVED`: whether the accuracy is at least `settings.solved_at`, and for how many seeds it is.
        - start_accuracy: the accuracy at step 0, with the same layout.
        - best_step, best_validation, best_accuracy: the first measured step with the highest validation accuracy, that
          accuracy, and the one on the test split at that step; empty without `evaluation.keep_best`.
        - unlearned_stage: the stage that was not learned when the budget of updates was spent; else empty.
        - updates, labelled_tokens (tokens in the loss), positions (prompts, text and latents): used for training.

        Raises:
            UserError: a table or `schedule.json` is missing.
        """
        rows = ({**named(run_of(folder), self.methods), **_ended(folder)} for folder in folders)
        table = as_table(rows, self.COLUMNS)
        return with_solved(table, table["accuracy"], self.settings)


def _ended(folder: Path) -> dict[str, Any]:
    measured, answers = read_accuracy(folder), read_answers(folder)
    last, schedule = measured.iloc[-1], read_schedule(folder)
    ended = answers[(answers["step"] == last["step"]) & (answers["layout"] == schemas.LAST)]["stopped"]
    return {
        **{name: last[name] for name in (*_AT_THE_END, *_COST)},
        **{f"stopped_{how}": (ended == how).mean() for how in schemas.STOPPED},
        "start_accuracy": measured["accuracy"].iloc[0],
        **_best(schedule["best"], measured),
        **{name: schedule[name] for name in _SPENT},
        "unlearned_stage": schedule["unlearned"],
    }


def _best(best: dict[str, Any] | None, measured: pd.DataFrame) -> dict[str, Any]:
    """Return the columns `_BEST` of a run; none if it did not look for its best model."""
    if best is None:
        return {}
    there = measured.loc[measured["step"] == best["step"], "accuracy"]
    return dict(zip(_BEST, (best["step"], best["validation"], there.iloc[0]), strict=True))
