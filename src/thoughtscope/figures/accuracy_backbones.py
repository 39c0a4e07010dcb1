"""Accuracy while training: one line for each backbone, all trained alike."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from thoughtscope.errors import UserError
from thoughtscope.figures.accuracy import curves
from thoughtscope.figures.accuracy_lines import draw_lines
from thoughtscope.figures.looks import Series
from thoughtscope.figures.settings import Accuracy as Settings


def draw(
    rows: pd.DataFrame, series: Mapping[str, Series], options: Settings, title: str | None = None
) -> tuple[Figure, pd.DataFrame]:
    """Return the figure and its points: a line for each backbone.

    Args:
        rows: `schemas.ACCURACY` of one task, one method and one trainable.
        series: label and look of each backbone, in the order of the legend.

    Raises:
        UserError: live and frozen runs are mixed.
    """
    if rows["trainable"].nunique() > 1:
        raise UserError("accuracy_backbones", "its runs mix live and frozen", "name one trainable in its runs")
    points = curves(rows, series, ("backbone",), options)
    return draw_lines(points, series, 0.0, "upper right", options, title), points
