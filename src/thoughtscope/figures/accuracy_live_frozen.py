"""Accuracy while training: a backbone that trains whole (live) beside backbones that stay fixed (frozen)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from thoughtscope.figures import style
from thoughtscope.figures.accuracy import curves, draw_lines
from thoughtscope.figures.settings import Accuracy as Settings


def draw(
    rows: pd.DataFrame, labels: Mapping[str, str], options: Settings, title: str | None = None
) -> tuple[Figure, pd.DataFrame]:
    """Return the figure and its points: a line for each (trainable, backbone), named "Live X" or "Frozen X".

    Args:
        rows: `tables.ACCURACY` of one task and one method.
        labels: the name of each backbone.
    """
    points = curves(rows, labels, options)
    points["line"] = points["trainable"].str.capitalize() + " " + points["line"]
    there = points[["trainable", "backbone", "line"]].drop_duplicates()
    names = {(str(kind), str(backbone)): str(line) for kind, backbone, line in there.itertuples(index=False)}
    looks = []
    for trainable, known in (("live", style.LIVE), ("frozen", style.BACKBONES)):
        backbones = [backbone for kind, backbone in names if kind == trainable]
        own = style.looks(style.in_order(backbones, style.BACKBONES), known)
        looks += [(names[trainable, backbone], look) for backbone, look in own.items()]
    return draw_lines(points, looks, 0.2, "lower right", options, title), points
