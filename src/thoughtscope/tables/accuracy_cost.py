"""accuracy_cost.csv: what a response costs, next to how often it is right. One row a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from thoughtscope.errors import UserError
from thoughtscope.tables.base import Table
from thoughtscope.tables.identity import as_table, named, run_of
from thoughtscope.tables.measurements import FIX, read_accuracy

COSTS = ["mean_visible_tokens", "mean_latents", "mean_forward_passes", "mean_operations"]


class AccuracyCost(Table):
    """One row a run, as it ended."""

    READS = "runs"
    COLUMNS = ["accuracy", "ci_low", "ci_high", "n", *COSTS, "seconds_per_question", "batch_size", "device"]
    CAPTION = """
    Accuracy on the test split at the end of each run, with its Wilson interval, next to what a response costs: text
    tokens, latents, serial forward passes (those of the prompt too), floating-point operations of the response alone in
    its batch (two for each parameter and computed position, and attention; not norms, activations or embeddings), and
    the seconds that answering took a question, in batches of that size on that device. Seconds depend on the machine
    and on what else it did; all else repeats exactly.
    """

    def make(self, folders: Sequence[Path]) -> pd.DataFrame:
        """Return one row for each run.

        Raises:
            UserError: a table or `times.json` is missing.
        """
        return as_table(({**named(run_of(folder), self.methods), **costs(folder)} for folder in folders), self.COLUMNS)


def costs(folder: Path) -> dict[str, Any]:
    """Return the accuracy of a run as it ended, and what a response costs."""
    last = read_accuracy(folder).iloc[-1]
    path = folder / "times.json"
    try:
        times = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(str(path), "no readable times", FIX) from error
    return {**{name: last[name] for name in ("accuracy", "ci_low", "ci_high", "n", *COSTS)}, **times}
