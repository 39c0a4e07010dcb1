"""The k-th latent of a response, one panel for each k, as three principal components.

Knows nothing of where the vectors come from.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from thoughtscope.figures.looks import Series
from thoughtscope.figures.projection import Panel
from thoughtscope.figures.scatter_panels import draw_panels
from thoughtscope.figures.settings import LatentScatter as Settings


def draw(
    table: pd.DataFrame,
    vectors: np.ndarray,
    questions: Mapping[str, int],
    series: Mapping[str, Series],
    options: Settings,
    title: str | None = None,
) -> tuple[Figure, pd.DataFrame]:
    """Return the figure and its points. Of each method the last checkpoint is drawn.

    Args:
        table: one row a vector: method, label, example_id, latent_index (null for text), checkpoint_step, next_token
            and next_role (what the latent precedes).
        vectors: `[n, width]`, in the order of `table`.
        questions: how many questions each method answered, by `method`.
        series: label and look of each method, in the order of the legend.
    """
    last = table.groupby("method")["checkpoint_step"].transform("max")
    final = (table["checkpoint_step"] == last).to_numpy()
    panels = [
        Panel(
            f"Step {step}", np.flatnonzero(final & (table["latent_index"] == step).fillna(False).to_numpy(dtype=bool))
        )
        for step in options.steps
    ]
    return draw_panels(table, vectors, questions, series, panels, options, title)
