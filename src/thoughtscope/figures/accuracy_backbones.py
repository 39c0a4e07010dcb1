"""Accuracy while training: one line for each backbone, all trained alike."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from thoughtscope.errors import UserError
from thoughtscope.figures import style
from thoughtscope.figures.accuracy import curves, draw_lines
from thoughtscope.figures.settings import Accuracy as Settings


def draw(
    rows: pd.DataFrame, labels: Mapping[str, str], options: Settings, title: str | None = None
) -> tuple[Figure, pd.DataFrame]:
    """Return the figure and its points: a line for each backbone.

    Args:
        rows: `tables.ACCURACY` of one task, one method and one trainable.
        labels: the name of each backbone.

    Raises:
        UserError: live and frozen runs are mixed.
    """
    points = curves(rows, labels, options)
    if points["trainable"].nunique() > 1:
        raise UserError("accuracy_backbones", "its runs mix live and frozen", "name one trainable in its runs")
    names = dict(zip(points["backbone"], points["line"], strict=True))
    looks = style.looks(style.in_order(names, style.BACKBONES), style.BACKBONES)
    return draw_lines(
        points, [(names[key], look) for key, look in looks.items()], 0.0, "upper right", options, title
    ), points
