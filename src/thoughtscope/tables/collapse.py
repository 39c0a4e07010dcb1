"""collapse.csv: how much the latents of one method differ between questions, or whether they have collapsed.

Measured for each run, kind of vector and latent k, with the run's own text tokens as the reference. How methods differ
from each other is in `separation`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thoughtscope.statistics import half_sample_interval
from thoughtscope.tables.base import Table
from thoughtscope.tables.cells import KINDS, Cell, RunCells, Sampling, read_cells, unit_rows
from thoughtscope.tables.identity import as_table, named, run_of

MEASURES = (
    "cosine",
    "cosine_centred",
    "effective_rank",
    "first_component",
    "components_95",
    "relative_norm",
)
Array = NDArray[np.float64]


class Collapse(Table):
    """How much the latents of a method differ between questions."""

    READS = "hidden_states"
    DEFAULT = True
    Settings = Sampling
    COLUMNS = [
        "checkpoint_step",
        "kind",
        "layer",
        "vectors",
        "latent_index",
        "role",
        "next_token",
        "next_token_share",
        "reached",
        "share_reached",
        "n",
        *(f"{measure}{suffix}" for measure in MEASURES for suffix in ("", "_low", "_high")),
        "n_pairs",
        *(f"step_cosine{suffix}" for suffix in ("", "_low", "_high")),
    ]
    CAPTION = """
    Whether a method's latents differ between questions, for each step k: mean pairwise cosine raw and centred,
    effective rank, share of the first component, components that hold 95 % of the variance, norm relative to the
    embedding table, and cosine with the step before. Reference rows are the model's own text tokens, one random token
    of each question, by role: question, step, separator, answer; of kind ``input`` these are the embeddings that were
    fed. ``next_token`` is what most latents of a step precede. The same number of vectors is used everywhere; where
    few responses reach a step, there are no numbers. The table says how latents are spread, not whether they carry
    something that the answer needs.
    """
    settings: Sampling

    def make(self, folders: Sequence[Path]) -> pd.DataFrame:
        """Return one row for each hidden-states folder, kind and latent k, and one for each role of its text tokens.

        - role: for text rows, the role of the tokens: `question`, `step`, `separator` or `answer`
          (`hidden_states.roles`). A row has one random token of each question; its kind `input` is the embedding.
        - next_token, next_token_share: for latent rows, the text token that most often follows these latents, and the
          share of latents that it follows. Near 1, latent k is always at the same place in the response.
        - reached, share_reached: number and share of questions whose response has a k-th latent (a token of that role).
        - n: number of vectors used, at most 256, drawn without replacement. It is the same in every row of the table:
          that of the smallest cell with enough questions (50, or half of all questions). Smaller cells have no values.
        - cosine: mean cosine similarity of the vectors of two questions; 1 if all have the same direction.
        - cosine_centred: the same after subtracting the mean of the run's own text tokens of that kind (each role
          weighted equally), so that a direction common to all of the model's vectors does not count.
        - effective_rank: exponential of the entropy of the singular values of the centred vectors (Roy and Vetterli
          2007); 1 if all are on a line. first_component: the first principal component's share of the variance;
          components_95: the number of components with 95 % of the variance.
        - relative_norm: mean norm, divided by the mean norm of the rows of the embedding table.
        - step_cosine: mean cosine similarity of latents k-1 and k of a question (text: of a token and the text token
          before it), over the `n_pairs` vectors that have a predecessor.
        - _low, _high: delete-half jackknife interval over questions.
        """
        settings = self.settings
        runs = [(folder, read_cells(folder, kind, settings.seed)) for folder in folders for kind in KINDS]
        sizes = [len(cell) for _, run in runs for cell in _cells(run) if len(cell) >= settings.enough(run.examples)]
        n = min([settings.most, *sizes])
        rows = [
            {**named(run_of(folder), self.methods), **_row(run, cell, n, settings)}
            for folder, run in runs
            for cell in _cells(run)
        ]
        return as_table(rows, self.COLUMNS)


def _cells(run: RunCells) -> list[Cell]:
    return [*run.latents, *run.text]


def _row(run: RunCells, cell: Cell, n: int, settings: Sampling) -> dict[str, Any]:
    row: dict[str, Any] = {
        "checkpoint_step": run.checkpoint,
        "kind": run.kind,
        "layer": run.layer,
        "vectors": "text" if cell.step is None else "latent",
        "latent_index": cell.step,
        "role": cell.role,
        "reached": len(cell),
        "share_reached": len(cell) / run.examples,
    }
    row |= {} if cell.step is None else _most_common(cell.following)
    enough = settings.enough(run.examples)
    if len(cell) < enough:
        return row | {"n": 0, "n_pairs": 0}
    chosen = cell.sample(n, settings.seed)
    pairs = chosen.with_previous()
    row |= {"n": len(chosen), "n_pairs": len(pairs)}
    row |= _with_intervals(
        MEASURES, chosen, settings, lambda part: measure(part.vectors, run.text_mean, run.embedding_norm)
    )
    if len(pairs) >= enough:
        row |= _with_intervals(("step_cosine",), pairs, settings, lambda part: np.array([step_cosine(part)]))
    return row


def _with_intervals(
    names: Sequence[str], cell: Cell, settings: Sampling, statistic: Callable[[Cell], Array]
) -> dict[str, float]:
    value, low, high = half_sample_interval(
        lambda rows: statistic(cell.take(rows)), len(cell), settings.confidence, settings.resamples, settings.seed
    )
    columns: dict[str, float] = {}
    for place, name in enumerate(names):
        columns |= {name: value[place], f"{name}_low": low[place], f"{name}_high": high[place]}
    return columns


def _most_common(tokens: NDArray[np.object_]) -> dict[str, Any]:
    token, count = Counter(tokens).most_common(1)[0]
    return {"next_token": token, "next_token_share": count / len(tokens)}


def measure(vectors: NDArray[Any], text_mean: Array | None, embedding_norm: float) -> Array:
    """Return `MEASURES` ``[measures]`` of ``vectors [n, width]``, in that order; NaN where a measure is undefined.

    Args:
        text_mean: ``[width]``, subtracted before `cosine_centred`; None: that measure is NaN.
        embedding_norm: mean norm of the rows of the embedding table.
    """
    wide = vectors.astype(np.float64)
    spectrum = singular_values(wide)
    return np.array(
        [
            mean_pairwise_cosine(wide),
            np.nan if text_mean is None else mean_pairwise_cosine(wide - text_mean),
            effective_rank(spectrum),
            first_share(spectrum),
            components_for(spectrum, 0.95),
            np.linalg.norm(wide, axis=1).mean() / embedding_norm,
        ]
    )


def step_cosine(cell: Cell) -> float:
    """Return the mean cosine similarity of each vector and the one at the latent before."""
    now, before = (unit_rows(part.astype(np.float64)) for part in (cell.vectors, cell.previous))
    return float(np.sum(now * before, axis=1).mean())


def mean_pairwise_cosine(vectors: Array) -> float:
    """Return the mean cosine similarity over all pairs of different rows of ``vectors [n, width]``, n > 1.

    Computed from the norm of the sum of the unit vectors, without the n x n matrix.
    """
    unit = unit_rows(vectors)
    n = len(unit)
    return float((np.square(unit.sum(axis=0)).sum() - np.square(unit).sum()) / (n * (n - 1)))


def singular_values(vectors: Array) -> Array:
    """Return the singular values ``[min(n, width)]`` of the centred ``vectors [n, width]``, largest first."""
    return np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False)


def effective_rank(singular: Array) -> float:
    """Return exp(H(p)) with p the singular values divided by their sum (Roy and Vetterli 2007); 1 if all are 0."""
    shares = singular[singular > 0] / max(singular.sum(), np.finfo(float).tiny)
    return float(np.exp(-np.sum(shares * np.log(shares))))


def first_share(singular: Array) -> float:
    """Return the first component's share of the variance; 1 if all singular values are 0."""
    total = np.square(singular).sum()
    return float(np.square(singular[0]) / total) if total > 0 else 1.0


def components_for(singular: Array, share: float) -> int:
    """Return the smallest number of components with at least `share` of the variance."""
    variance = np.square(singular)
    if variance.sum() == 0:
        return 1
    held = np.cumsum(variance) / variance.sum()
    return int(np.searchsorted(held, share - 1e-12) + 1)
