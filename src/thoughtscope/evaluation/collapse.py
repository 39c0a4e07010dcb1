"""collapse.csv: do a method's latents still differ from one another? A picture cannot show it; these numbers can.

For each run, kind and step k, and for the run's own text tokens as the reference. Knows nothing about how
methods differ from each other (see `separation`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thoughtscope.evaluation.cells import KINDS, Cell, RunCells, read_cells, unit_rows
from thoughtscope.evaluation.identity import as_table, named, run_of
from thoughtscope.evaluation.settings import TableSettings
from thoughtscope.evaluation.statistics import half_sample_interval

MEASURES = (
    "cosine",
    "cosine_centred",
    "effective_rank",
    "first_component",
    "components_95",
    "step_cosine",
    "relative_norm",
)
COLUMNS = [
    "checkpoint_step",
    "kind",
    "layer",
    "vectors",
    "latent_index",
    "reached",
    "share_reached",
    "n",
    *(f"{measure}{suffix}" for measure in MEASURES for suffix in ("", "_low", "_high")),
]
Array = NDArray[np.float64]


def collapse(folders: Sequence[Path], settings: TableSettings) -> pd.DataFrame:
    """Return one row for each hidden-states folder, kind and step k, and one for its text tokens.

    - reached, share_reached: questions whose response has a k-th latent, and their share.
    - n: vectors used, the same in every row of the table: the fewest of any cell that enough questions reach
      (50, or half of those asked), at most 256, drawn without replacement. Other cells get no numbers.
    - cosine: mean cosine between the vectors of two questions (1 = all point the same way).
    - cosine_centred: the same after the mean of the run's own text tokens was taken away, so that a direction
      common to all of the model's vectors does not count.
    - effective_rank: exponential of the entropy of the singular values of the centred vectors (Roy and Vetterli
      2007); 1 = all on a line. first_component, components_95: the first component's share of their variance,
      and how many components hold 95 % of it.
    - step_cosine: mean cosine between a question's latents k-1 and k (text: between neighbouring tokens).
    - relative_norm: mean norm over the mean norm of the embedding table's rows.
    - _low, _high: delete-half jackknife interval over questions.
    """
    runs = [(folder, read_cells(folder, kind, settings.seed)) for folder in folders for kind in KINDS]
    sizes = [len(cell) for _, run in runs for cell in _cells(run) if len(cell) >= settings.enough(run.examples)]
    n = min([settings.most, *sizes])
    rows = [
        {**named(run_of(folder), settings.methods), **_row(run, cell, n, settings)}
        for folder, run in runs
        for cell in _cells(run)
    ]
    return as_table(rows, COLUMNS)


def _cells(run: RunCells) -> list[Cell]:
    return [*run.latents, *([run.text] if run.text else [])]


def _row(run: RunCells, cell: Cell, n: int, settings: TableSettings) -> dict[str, Any]:
    row: dict[str, Any] = {
        "checkpoint_step": run.checkpoint,
        "kind": run.kind,
        "layer": run.layer,
        "vectors": "text" if cell.step is None else "latent",
        "latent_index": cell.step,
        "reached": len(cell),
        "share_reached": len(cell) / run.examples,
    }
    if len(cell) < settings.enough(run.examples):
        return row | {"n": 0}
    chosen = cell.sample(n, settings.seed)
    value, low, high = half_sample_interval(
        lambda rows: measure(chosen.take(rows), run.text_mean, run.embedding_norm),
        len(chosen),
        settings.confidence,
        settings.resamples,
        settings.seed,
    )
    for place, name in enumerate(MEASURES):
        row |= {name: value[place], f"{name}_low": low[place], f"{name}_high": high[place]}
    return row | {"n": len(chosen)}


def measure(cell: Cell, text_mean: Array | None, embedding_norm: float) -> Array:
    """Return `MEASURES` of a cell, in that order; NaN where one is not defined."""
    vectors = cell.vectors.astype(np.float64)
    centred = np.nan if text_mean is None else mean_pairwise_cosine(vectors - text_mean)
    spectrum = singular_values(vectors)
    norms = np.linalg.norm(vectors, axis=1)
    return np.array(
        [
            mean_pairwise_cosine(vectors),
            centred,
            effective_rank(spectrum),
            first_share(spectrum),
            components_for(spectrum, 0.95),
            np.sum(unit_rows(vectors) * unit_rows(cell.previous.astype(np.float64)), axis=1).mean(),
            norms.mean() / embedding_norm,
        ]
    )


def mean_pairwise_cosine(vectors: Array) -> float:
    """Return the mean cosine over all pairs of two different rows of `vectors` `[n, width]`, n > 1.

    From the length of the sum of the unit vectors, without the n x n matrix.
    """
    unit = unit_rows(vectors)
    n = len(unit)
    return float((np.square(unit.sum(axis=0)).sum() - np.square(unit).sum()) / (n * (n - 1)))


def singular_values(vectors: Array) -> Array:
    """Return the singular values of the centred rows, largest first."""
    return np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False)


def effective_rank(singular: Array) -> float:
    """Return exp(H(p)), p = singular values over their sum (Roy and Vetterli 2007); 1 where nothing varies."""
    shares = singular[singular > 0] / max(singular.sum(), np.finfo(float).tiny)
    return float(np.exp(-np.sum(shares * np.log(shares))))


def first_share(singular: Array) -> float:
    """Return the first component's share of the variance; 1 where nothing varies."""
    total = np.square(singular).sum()
    return float(np.square(singular[0]) / total) if total > 0 else 1.0


def components_for(singular: Array, share: float) -> int:
    """Return how many components hold `share` of the variance."""
    variance = np.square(singular)
    if variance.sum() == 0:
        return 1
    held = np.cumsum(variance) / variance.sum()
    return int(np.searchsorted(held, share - 1e-12) + 1)
