"""readouts.csv: which token each latent is nearest to, and how often that is the value of a step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from thoughtscope import schemas
from thoughtscope.evaluation.settings import Intervals
from thoughtscope.tables.base import Table
from thoughtscope.tables.identity import as_table, named, run_of


class Readouts(Table):
    """The nearest token of each latent."""

    READS = "probes"
    PROBE_TABLE = "readouts"
    DEFAULT = True
    Settings = Intervals
    COLUMNS = [
        "readout",
        "layer",
        "latent_index",
        "n",
        "token",
        "token_share",
        "score",
        "target",
        "value_share",
        "value_low",
        "value_high",
        "exchanged_share",
    ]
    CAPTION = """
    What each latent would say: the token that the output head finds likeliest at its state (``head``, by layer; inner
    layers pass the final norm first), and the token whose embedding its fed vector is nearest to (``embedding``).
    ``value_share`` is the share of questions whose nearest token is the value of step ``target``, for the step with the
    largest share; ``exchanged_share`` is what questions exchanged at random would give. Another token does not show
    that the value is absent, and the value does not show that it is used.
    """
    settings: Intervals

    def make(self, folders: Sequence[Path]) -> pd.DataFrame:
        """Return one row for each run, readout, layer and latent.

        - n: questions whose response has such a latent; token, token_share: the most frequent nearest token and its
          share; score: mean of the nearest token's probability (head) or cosine (embedding).
        - target, value_share: the step whose value the nearest token is most often, and how often, with its interval
          over questions; exchanged_share: how often it would be if values were exchanged between questions.
        """
        from thoughtscope.evaluation.readouts import readout_rows

        rows = (
            {**named(run_of(folder), self.methods), **row}
            for folder in folders
            for row in readout_rows(
                schemas.read_any(folder / "tables/readouts.parquet", ("token", "score")).to_pandas(),
                self.settings.confidence,
            )
        )
        return as_table(rows, self.COLUMNS)
