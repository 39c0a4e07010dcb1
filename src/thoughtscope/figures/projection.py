"""Projects the vectors of each panel on three principal components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from thoughtscope.errors import UserError
from thoughtscope.figures.scatter import Projection

COMPONENTS = ["pc1", "pc2", "pc3"]


@dataclass(frozen=True)
class Panel:
    """One panel: its title, and the rows that it shows as indices into the table of vectors."""

    title: str
    rows: np.ndarray


def project(
    table: pd.DataFrame, vectors: np.ndarray, panels: Sequence[Panel], options: Projection
) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """Return the points of all panels and, for each panel, the shares of explained variance ``[3]``.

    Args:
        table: a row for each vector: method, label, example_id, latent_index, checkpoint_step.
        vectors: ``[n, width]``, in the order of `table`.

    Returns:
        The rows of `table` that are shown, with the columns panel, pc1, pc2, pc3 and the explained variance of each
        component. With `pca: common`, all panels share one PCA, which is fitted on all points shown.

    Raises:
        UserError: there are fewer than four vectors or fewer than three dimensions.
    """
    if options.unit_norm:
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    shown = np.concatenate([panel.rows for panel in panels])
    common = _fit(vectors[shown]) if options.pca == "common" else None
    parts, explained = [], []
    for panel in panels:
        part = table.iloc[panel.rows].copy()
        part.insert(0, "panel", panel.title)
        fitted = common or (_fit(vectors[panel.rows]) if len(panel.rows) else None)
        shares = fitted.explained_variance_ratio_ if fitted else np.full(3, np.nan)
        part[COMPONENTS] = fitted.transform(vectors[panel.rows]) if fitted and len(part) else np.empty((0, 3))
        for name, share in zip(COMPONENTS, shares, strict=True):
            part[f"{name}_explained"] = share
        parts.append(part)
        explained.append(shares)
    return pd.concat(parts, ignore_index=True), explained


def _fit(vectors: np.ndarray) -> PCA:
    if len(vectors) < 4 or vectors.shape[1] < 3:
        raise UserError(
            "figure",
            f"{len(vectors)} vectors of width {vectors.shape[1]} give no three principal components",
            "draw more questions, other steps, or pca: common",
        )
    return PCA(n_components=3, svd_solver="full").fit(vectors.astype(np.float64))
