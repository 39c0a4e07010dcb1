"""Accuracy while training: a backbone that trains whole (live) beside backbones that stay fixed (frozen)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from thoughtscope.figures.accuracy import curves
from thoughtscope.figures.accuracy_lines import draw_lines
from thoughtscope.figures.looks import Series
from thoughtscope.figures.settings import Accuracy as Settings


def draw(
    rows: pd.DataFrame, series: Mapping[str, Series], options: Settings, title: str | None = None
) -> tuple[Figure, pd.DataFrame]:
    """Return the figure and its points: a line for each (trainable, backbone).

    Args:
        rows: `schemas.ACCURACY` of one task and one method.
        series: label and look of each line by ``full <backbone>`` or ``lora <backbone>``, in the legend's order.
    """
    points = curves(rows, series, ("trainable", "backbone"), options)
    return draw_lines(points, series, 0.2, "lower right", options, title), points
