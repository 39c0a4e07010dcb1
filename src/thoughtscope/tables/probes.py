"""probes.csv: what every probe of a study found, in one long table. Fits nothing (see `thoughtscope.probes`)."""

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
        """Return every row of the tables `evidence` of these probes' folders.

        - probe: its name in the config.
        - The columns of a kind of probe stand between this and the following; those that a probe has no use for are
          empty. A probe of statements has neither method, trainable nor seed, since it is fitted on a backbone.
        - measure, value: what was measured, held out, with its interval; n: on how many questions or statements.
        - p: (k + 1) / (B + 1), where k of B permuted labellings reach the value; p_corrected: the same for the largest
          value that the probe could have picked. One-sided.
        - passes_null: whether p_corrected is at most the level of the config.
        - note: why a row has no values.
        """
        frames = [schemas.read_any(folder / "tables/evidence.parquet", self.COLUMNS).to_pandas() for folder in folders]
        names = {name for name, _ in schemas.RUN}
        own = dict.fromkeys(name for one in frames for name in one.columns if name not in {"probe", *TESTED, *names})
        rows = pd.concat([one.astype(object) for one in frames], ignore_index=True)
        if "method" in rows:
            rows["label"] = rows["method"].replace(self.methods)
        return as_table(rows.to_dict("records"), ["probe", *own, *TESTED])
