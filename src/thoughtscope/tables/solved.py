"""Adds to a table of runs which of them solve their task, and how many seeds do."""

from __future__ import annotations

import pandas as pd

from thoughtscope.evaluation.seeds import solved
from thoughtscope.evaluation.settings import Solving

LINE = ["task", "backbone", "method", "trainable"]
SOLVED = ["solved", "seeds", "seeds_solved", "solved_low", "solved_high"]


def with_solved(table: pd.DataFrame, final: pd.Series, settings: Solving) -> pd.DataFrame:
    """Return a table of runs with the columns `SOLVED`, which are empty if `settings.solved_at` is null.

    `solved` is whether the run of a row solves its task. The other columns count over all seeds of its `LINE`: their
    number, how many solve the task, and the Wilson interval of that share.

    Args:
        final: the final accuracy of each row's run.
    """
    if settings.solved_at is None or table.empty:
        return table
    parts = []
    for _, part in table.assign(final=final).groupby(LINE):
        found = solved(part.drop_duplicates("seed")["final"], settings.solved_at, settings.confidence)
        line = {"seeds": found.seeds, "seeds_solved": found.count, "solved_low": found.low, "solved_high": found.high}
        parts.append(part.assign(solved=part["final"] >= settings.solved_at, **line))
    return pd.concat(parts).sort_index()[table.columns]
