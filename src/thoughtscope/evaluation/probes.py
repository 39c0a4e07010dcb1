"""probes.csv: the probes of latents and of truth in one long table. Fits nothing (see `thoughtscope.probes`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from thoughtscope import tables
from thoughtscope.errors import UserError
from thoughtscope.evaluation.identity import as_table
from thoughtscope.evaluation.settings import TableSettings

LATENTS, TRUTH = "latents.parquet", "truth.parquet"
COLUMNS = [
    "probe",
    "checkpoint_step",
    "kind",
    "layer",
    "latent_index",
    "target",
    "direction",
    "subset",
    "n",
    "classes",
    "measure",
    "value",
    "ci_low",
    "ci_high",
    "null_mean",
    "null_p99",
    "null_random_p99",
    "passes_null",
]


def probes(folders: Sequence[Path], settings: TableSettings) -> pd.DataFrame:
    """Return every row of the `latents.parquet` and `truth.parquet` of these probes folders, in one form.

    - probe: `latent` (which intermediate value can be read at a latent: target is its number, from 1) or
      `truth` (does a direction tell true from false statements: direction, subset).
    - measure, value: `accuracy` of latent probes, `auroc` of truth directions, held out, with its interval.
    - null_mean, null_p99: the same after refits on shuffled labels; null_random_p99: 99th percentile of random
      directions, truth only. Of AUROC both are distances from .5 as the probes' stage wrote them.
    - passes_null: whether the value is above what the null allows. Columns a probe has no use for are empty.

    Raises:
        UserError: a folder holds neither table.
    """
    return as_table((row for folder in folders for row in _rows(folder, settings)), COLUMNS)


def _rows(folder: Path, settings: TableSettings) -> list[dict[str, Any]]:
    parts: list[pd.DataFrame] = []
    if (folder / LATENTS).is_file():
        latents = tables.read(folder / LATENTS, tables.LATENT_PROBES).to_pandas().rename(columns={"accuracy": "value"})
        passes = latents["value"] > latents["null_p99"]
        parts.append(latents.assign(probe="latent", measure="accuracy", passes_null=passes))
    if (folder / TRUTH).is_file():
        names = {"auroc": "value", "null_permutation_p99": "null_p99"}
        truth = tables.read(folder / TRUTH, tables.TRUTH_PROBES).to_pandas().rename(columns=names)
        parts.append(truth.assign(probe="truth", measure="auroc", classes=2, kind="output"))
    if not parts:
        raise UserError(str(folder), f"holds neither {LATENTS} nor {TRUTH}", "fit the probes again")
    frame = pd.concat(parts, ignore_index=True)
    labelled = frame.assign(label=frame["method"].map(settings.methods).fillna(frame["method"]))
    return [{str(name): value for name, value in row.items()} for row in labelled.to_dict("records")]
