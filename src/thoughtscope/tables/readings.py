"""readings.csv: how often a step decoder reads the right step from the latents that stand for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from thoughtscope import schemas
from thoughtscope.errors import UserError
from thoughtscope.settings import Probability, Strict
from thoughtscope.statistics import wilson_interval
from thoughtscope.tables.base import Table
from thoughtscope.tables.identity import as_table, named, run_of


class Level(Strict):
    """The level of the intervals."""

    confidence: Probability = 0.95


class Readings(Table):
    """One row for each run and step."""

    READS = "runs"
    Settings = Level
    COLUMNS = ["step_index", "n", "accuracy", "ci_low", "ci_high", "most_frequent", "examples"]
    CAPTION = """
    How often the decoder that trained beside a model (SIM-CoT) writes exactly the step that latents stand for, on the
    test questions that have this step, with its Wilson interval; and what it writes for three of them. The decoder saw
    the steps of training questions only. most_frequent is the share of the most frequent step among those questions:
    what it would reach without looking.
    """
    settings: Level

    def make(self, folders: Sequence[Path]) -> pd.DataFrame:
        """Return the rows of each run.

        Raises:
            UserError: a run has no readings.
        """
        return as_table((row for folder in folders for row in self._rows(folder)), self.COLUMNS)

    def _rows(self, folder: Path) -> Iterator[dict[str, Any]]:
        frame = schemas.read(folder / "readings.parquet", schemas.READINGS).to_pandas()
        found = frame[frame["step"].notna()]
        if found.empty:
            raise UserError(str(folder), "no decoder read its latents", "name runs of a method with step_decoder")
        for index, part in found.groupby("step_index"):
            correct, n = int(part["correct"].sum()), len(part)
            low, high = wilson_interval(correct, n, self.settings.confidence)
            shown = part.sort_values("example_id").head(3)
            pairs = zip(shown["step"], shown["reading"], strict=True)
            most = part["step"].value_counts().iloc[0] / n
            yield {
                **named(run_of(folder), self.methods),
                **{"step_index": index, "n": n, "accuracy": correct / n, "ci_low": low, "ci_high": high},
                "most_frequent": most,
                "examples": "; ".join(f"{step!r} read as {read!r}" for step, read in pairs),
            }
