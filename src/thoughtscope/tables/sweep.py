"""sweep_<name>.csv: the runs of a sweep, each with the values of the keys that were swept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from thoughtscope.evaluation.settings import Solving
from thoughtscope.tables.accuracy_cost import COSTS, costs
from thoughtscope.tables.base import Table
from thoughtscope.tables.identity import NAMES, as_table, named, run_of
from thoughtscope.tables.solved import SOLVED, with_solved


class SweepSettings(Solving):
    """Which values each method of a sweep has."""

    points: dict[str, dict[str, str]]


class Sweep(Table):
    """One row a run, as it ended."""

    READS = "runs"
    Settings = SweepSettings
    COLUMNS = ["accuracy", "ci_low", "ci_high", "n", *SOLVED, *COSTS]
    CAPTION = """
    The runs of a sweep as they ended, each with the values of the keys that were swept: accuracy on the test split with
    its Wilson interval, how many seeds of these values solve the task, and what a response costs (as in
    ``accuracy_cost``).
    """
    settings: SweepSettings

    def make(self, folders: Sequence[Path]) -> pd.DataFrame:
        """Return one row for each run, in the order of the grid."""
        rows = [{**named(run_of(folder), self.methods), **costs(folder)} for folder in folders]
        table = as_table(rows, self.COLUMNS)
        table = with_solved(table, table["accuracy"], self.settings)
        points = self.settings.points
        keys = list(next(iter(points.values())))
        values = {key: [points[method][key] for method in table["method"]] for key in keys}
        table = table.assign(**values)[[*NAMES, *keys, *self.COLUMNS]]
        place = {method: i for i, method in enumerate(points)}
        return table.sort_values("method", key=lambda names: names.map(place), kind="stable", ignore_index=True)
