"""probes.csv: the evidence of every probe of a study in one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from thoughtscope import schemas
from thoughtscope.tables.base import Table
from thoughtscope.tables.identity import as_table

TESTED = [name for name, _ in schemas.EVIDENCE]


class Probes(Table):
    """The evidence of every probe in one table."""

    READS = "probes"
    DEFAULT = True
    COLUMNS = ["probe", *TESTED]
    CAPTION = """
    What linear probes read, on held-out questions or subjects, one row for each place that a probe looks at. p-values
    come from permuted labels; ``p_corrected`` allows for the choice of the best layer, direction or latent, and
    ``passes_null`` is its verdict.
    """

    def make(self, folders: Sequence[Path]) -> pd.DataFrame:
        """Return all rows of the tables `evidence` of these probes.

        - probe: its name in the config.
        - Next are the columns of the kinds of probes; those of other kinds are empty. A probe of statements has no
          method, trainable or seed, because it is fitted on a backbone.
        - measure, value: the measure and its value on held-out data, with its interval; n: the number of questions or
          statements.
        - p: one-sided, (k + 1) / (B + 1), where k of B permuted labellings have at least this value; p_corrected: the
          same for the largest of all values that the probe could have selected.
        - passes_null: whether p_corrected is at most the significance level of the config.
        - note: why a row has no values.
        """
        frames = [schemas.read_any(folder / "tables/evidence.parquet", self.COLUMNS).to_pandas() for folder in folders]
        names = {name for name, _ in schemas.RUN}
        own = dict.fromkeys(name for one in frames for name in one.columns if name not in {"probe", *TESTED, *names})
        rows = pd.concat([one.astype(object) for one in frames], ignore_index=True)
        if "method" in rows:
            rows["label"] = rows["method"].replace(self.methods)
        return as_table(rows.to_dict("records"), ["probe", *own, *TESTED])
