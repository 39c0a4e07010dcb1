"""The scores of `activity_surface` as heat maps with tokens on the axis, where no cell hides another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from thoughtscope.figures.activity import ActivityFigure, Grid, bound, foot, grids

if TYPE_CHECKING:
    from thoughtscope.figures.base import Drawn


class ActivityHeatmap(ActivityFigure):
    """Heat maps with the tokens on the axis, one below the other."""

    CAPTION = """
    The scores of the two surfaces as heat maps, with the tokens on the axis: the false response above, the true one
    below, on one colour scale; above 0 is the side of true statements. In grey, hatched cells held-out statements are
    not told apart by truth.
    """

    def draw(self, data: pd.DataFrame) -> Drawn:
        """Return the figure and its points; the false response is above the true one.

        Args:
            data: the table `activity` of a probe.
        """
        from matplotlib import colormaps
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        from thoughtscope.figures import style

        found, points = grids(data, self.settings)
        limit = bound(found)
        colours = ScalarMappable(Normalize(-limit, limit), colormaps[style.DIVERGING_MAP])
        with style.applied():
            figure = style.new_figure(style.PAGE, 5.6)
            longest = max(len(grid.positions) for grid in found)
            for place, grid in enumerate(found):
                width = 0.8 * len(grid.positions) / longest
                axes = figure.add_axes((0.07, 0.66 - 0.45 * place, width, 0.24))
                _heatmap(axes, grid, colours)
            bar = figure.colorbar(colours, cax=figure.add_axes((0.9, 0.3, 0.016, 0.4)))
            bar.set_label("Activity Score", labelpad=3)
            figure.text(0.5, 0.008, foot(found, self.settings, self.title), ha="center", fontsize=style.SMALL)
        return figure, points


def _heatmap(axes: Any, grid: Grid, colours: Any) -> None:
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Rectangle

    from thoughtscope.figures import style

    cells = colours.to_rgba(grid.scores)
    cells[~grid.readable] = to_rgba(style.MUTED)
    axes.imshow(cells, origin="lower", aspect="auto", interpolation="nearest")
    for row, column in np.argwhere(~grid.readable):
        corner = (column - 0.5, row - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, facecolor="none", edgecolor="#a0a0a0", hatch="////", linewidth=0))
    axes.set_xticks(np.arange(len(grid.positions)), [_visible(token) for token in grid.tokens], rotation=90)
    axes.tick_params(axis="x", labelsize=style.SMALL, length=1.5, pad=1)
    every = max(1, -(-len(grid.layers) // 10))
    axes.set_yticks(np.arange(len(grid.layers))[::every], grid.layers[::every])
    axes.set_ylabel("Layer")
    axes.set_title(f"{grid.title(90)} ({grid.name})", loc="left", fontsize=style.NORMAL - 0.5)


def _visible(token: str) -> str:
    from thoughtscope.figures import style

    text = token.strip(" ") or "␣"
    return style.readable(text.replace("\n", "↵"))
