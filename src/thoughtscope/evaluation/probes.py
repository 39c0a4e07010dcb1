"""probes.csv: the probes of latents and of truth in one long table. Fits nothing (see `thoughtscope.probes`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from thoughtscope import schemas
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
    "unit",
    "subset",
    "n",
    "classes",
    "measure",
    "value",
    "ci_low",
    "ci_high",
    "null_mean",
    "p",
    "p_corrected",
    "p_refit",
    "passes_null",
    "note",
]


def probes(folders: Sequence[Path], settings: TableSettings) -> pd.DataFrame:
    """Return every row of the `latents.parquet` and `truth.parquet` of these probes folders, in one form.

    - probe: `latent` (which intermediate value can be read at a latent: target is its number, from 1) or
      `truth` (does a direction tell true from false statements: direction, subset, and whether statements or their
      tokens are told apart: unit).
    - measure, value: `accuracy` of latent probes, `auroc` of truth directions, held out, with its interval.
    - null_mean: the accuracy after values were exchanged between questions.
    - p: (k + 1) / (B + 1), where k of B permuted labellings reach the value; p_corrected: the same for the largest
      value of all cells of a run, or of all layers and directions of a subset. One-sided.
    - p_refit: of a linear direction, against directions fitted to permuted training labels. It asks whether the
      direction is better than those fitted to noise, not whether truth can be read.
    - passes_null: whether p_corrected is at most the level of the config.
    - note: why a row has no values. Columns that a probe has no use for are empty; truth has neither method, trainable
      nor seed, since it is read from a backbone.

    Raises:
        UserError: a folder holds neither table.
    """
    return as_table((row for folder in folders for row in _rows(folder, settings)), COLUMNS)


def _rows(folder: Path, settings: TableSettings) -> list[dict[str, Any]]:
    parts: list[pd.DataFrame] = []
    if (folder / LATENTS).is_file():
        latents = (
            schemas.read(folder / LATENTS, schemas.LATENT_PROBES).to_pandas().rename(columns={"accuracy": "value"})
        )
        label = latents["method"].replace(settings.methods)
        parts.append(latents.assign(probe="latent", measure="accuracy", label=label))
    if (folder / TRUTH).is_file():
        truth = schemas.read(folder / TRUTH, schemas.TRUTH_PROBES).to_pandas().rename(columns={"auroc": "value"})
        parts.append(truth.assign(probe="truth", measure="auroc", classes=2, kind="output"))
    if not parts:
        raise UserError(str(folder), f"holds neither {LATENTS} nor {TRUTH}", "fit the probes again")
    frame = pd.concat(parts, ignore_index=True)
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
