"""The columns that name a run in every table made from several runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from thoughtscope.run_id import RunId

NAMES = ["task", "backbone", "method", "label", "trainable", "seed"]


def run_of(folder: Path) -> RunId:
    """Return the run that an artifact folder belongs to; the last five parts of its path name the run."""
    return RunId.parse("/".join(folder.parts[-5:]))


def named(run: RunId, methods: Mapping[str, str]) -> dict[str, Any]:
    """Return the columns `NAMES` of a run; `methods` has the label of each method."""
    return {
        "task": run.task,
        "backbone": run.backbone,
        "method": run.method,
        "label": methods.get(run.method, run.method),
        "trainable": run.trainable,
        "seed": run.seed,
    }


def as_table(rows: Iterable[Mapping[Any, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Return rows as a frame with the columns `NAMES` first, sorted by run and otherwise in their order."""
    frame = pd.DataFrame(list(rows), columns=[*NAMES, *columns])
    return frame.sort_values([name for name in NAMES if name != "label"], kind="stable", ignore_index=True)
