"""One latent at four points of training, one panel each, as three principal components.

Each method's kept checkpoints are taken in their order: they stand at the same fractions of the way from
its first latent stage to its end, so that a panel compares methods at equal progress.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from thoughtscope.errors import UserError
from thoughtscope.figures.looks import Series
from thoughtscope.figures.projection import Panel
from thoughtscope.figures.scatter_panels import draw_panels
from thoughtscope.figures.settings import LatentScatterTraining as Settings

PANELS = 4


def draw(
    table: pd.DataFrame,
    vectors: np.ndarray,
    questions: Mapping[str, int],
    series: Mapping[str, Series],
    checkpoints: Mapping[str, Sequence[int]],
    options: Settings,
    title: str | None = None,
) -> tuple[Figure, pd.DataFrame]:
    """Return the figure and its points; arguments as in `latent_scatter.draw`.

    A method that makes no latents yet at a checkpoint has no points in its panel.

    Args:
        checkpoints: the updates after which each method's model was kept.

    Raises:
        UserError: a method has fewer than four checkpoints.
    """
    chosen = (table["latent_index"] == options.step).fillna(False).to_numpy(dtype=bool)
    steps = {name: _checkpoints(name, checkpoints[name]) for name in series if name in questions}
    panels = []
    for place in range(PANELS):
        wanted = table["method"].map({name: own[place] for name, own in steps.items()})
        rows = np.flatnonzero(chosen & (table["checkpoint_step"] == wanted).to_numpy(dtype=bool))
        panels.append(Panel(_panel_title([own[place] for own in steps.values()]), rows))
    return draw_panels(table, vectors, questions, series, panels, options, title)


def _checkpoints(method: str, steps: Sequence[int]) -> list[int]:
    """Return four of the method's checkpoints, evenly spread when it has more."""
    found = sorted(set(steps))
    if len(found) < PANELS:
        raise UserError(
            f"latent_scatter_training: {method}",
            f"{len(found)} checkpoints are kept, {PANELS} are drawn",
            "name four fractions in training.keep_checkpoints",
        )
    return [found[round(place * (len(found) - 1) / (PANELS - 1))] for place in range(PANELS)]


def _panel_title(updates: list[int]) -> str:
    several = sorted(set(updates))
    return f"Update {several[0]}" if len(several) == 1 else f"Updates {' / '.join(map(str, updates))}"
