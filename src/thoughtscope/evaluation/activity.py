"""activity.csv: every cell of the activity figures, and how scores go over layers and over tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thoughtscope import tables
from thoughtscope.errors import UserError
from thoughtscope.evaluation.identity import as_table
from thoughtscope.evaluation.settings import TableSettings
from thoughtscope.evaluation.statistics import bootstrap_interval

ACTIVITY = "activity.parquet"
COLUMNS = [
    "row",
    "direction",
    "example_id",
    "truth",
    "layers",
    "layer",
    "position",
    "token",
    "score",
    "ci_low",
    "ci_high",
    "passes_null",
]
Array = NDArray[np.float64]


def activity(folders: Sequence[Path], settings: TableSettings) -> pd.DataFrame:
    """Return the cells and trends of these probes folders' `activity.parquet`.

    - row: `cell` (the score of one layer and token), `trend over layers` or `trend over tokens`.
    - truth: 1 of a true response, 0 of a false one.
    - layers: of a trend `all`, or `passing`: only those whose AUROC exceeds the null (left out where fewer than
      two pass). A trend has no layer, position or token.
    - score: of a trend the least-squares slope, in scores a layer (of the mean over tokens) or in scores a token
      (of the mean over layers).
    - ci_low, ci_high: bootstrap over the response's tokens, each with its whole column of layers. One response
      is one sample: the interval says how even the trend is over its tokens, not how other responses go.

    Raises:
        UserError: a folder holds no such table.
    """
    rows = [row for folder in folders for row in _rows(folder, settings)]
    return as_table(rows, COLUMNS)


def _rows(folder: Path, settings: TableSettings) -> Iterator[dict[str, Any]]:
    frame = tables.read(folder / ACTIVITY, tables.ACTIVITY).to_pandas().rename(columns={"label": "truth"})
    frame = frame.assign(label=frame["method"].map(settings.methods).fillna(frame["method"]))
    yield from frame.assign(row="cell").to_dict("records")
    for (_, example), one in frame.groupby(["direction", "example_id"], sort=False):
        grid = one.pivot(index="layer", columns="position", values="score")
        if grid.isna().to_numpy().any():
            raise UserError(str(folder / ACTIVITY), f"cells of {example} are missing", "fit the probes again")
        facts = one.iloc[0].drop(["layer", "position", "token", "score", "passes_null"]).to_dict()
        passing = one.groupby("layer")["passes_null"].all()
        for layers, part in (("all", grid), ("passing", grid[passing])):
            if min(part.shape) > 1:
                for trend in _trends(part, settings):
                    yield {**facts, "layers": layers, **trend}


def _trends(grid: pd.DataFrame, settings: TableSettings) -> Iterator[dict[str, Any]]:
    """Yield the two trends of a grid of scores, one row a layer, one column a token."""
    scores = grid.to_numpy(dtype=np.float64)
    layers, positions = grid.index.to_numpy(dtype=np.float64), grid.columns.to_numpy(dtype=np.float64)

    def both(tokens: NDArray[np.intp]) -> Array:
        chosen = scores[:, tokens]
        return np.array([slope(layers, chosen.mean(axis=1)), slope(positions[tokens], chosen.mean(axis=0))])

    value = both(np.arange(len(positions)))
    low, high = bootstrap_interval(both, len(positions), settings.confidence, 10 * settings.resamples, settings.seed)
    for place, name in enumerate(("trend over layers", "trend over tokens")):
        yield {"row": name, "score": value[place], "ci_low": low[place], "ci_high": high[place]}


def slope(x: Array, y: Array) -> float:
    """Return the least-squares slope of y over x; NaN where all x are equal."""
    away = x - x.mean()
    total = np.square(away).sum()
    return float(away @ y / total) if total > 0 else float("nan")
