"""Two surfaces of scores over layer and token position: a false response on the left, a true one on the right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from thoughtscope.figures.activity import ActivityFigure, Grid, bound, foot, grids

if TYPE_CHECKING:
    from thoughtscope.figures.base import Drawn

FINE = 2  # drawn facets along each side of a cell


class ActivitySurface(ActivityFigure):
    """Two surfaces side by side."""

    CAPTION = """
    Truth score of every layer at every token of two responses to one query, a false one on the left and a true one on
    the right, on common limits. The score is the projection on a direction fitted on other subjects' labelled
    statements, less the middle between true and false tokens at the same distance from the end; above 0 is the side of
    true statements. In grey cells, held-out statements are not told apart by truth (p corrected for the choice among
    all cells), or both responses still read the same: they show nothing. ``activity.csv`` holds every cell with its
    evidence and the trends, ``probes.csv`` each layer's AUROC beside that of surprisal alone; the heat map shows the
    cells that a surface hides.
    """

    def draw(self, data: pd.DataFrame) -> Drawn:
        """Return the figure and its points, the true cells. Facets between cells are interpolated linearly.

        Args:
            data: the table `activity` of a probe.
        """
        from matplotlib import colormaps
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize
        from mpl_toolkits.mplot3d import Axes3D

        from thoughtscope.figures import style

        found, points = grids(data, self.settings)
        limit = bound(found)
        colours = ScalarMappable(Normalize(-limit, limit), colormaps[style.SCORE_MAP])
        layers = (min(grid.layers.min() for grid in found), max(grid.layers.max() for grid in found))
        positions = (0, max(grid.positions.max() for grid in found))
        with style.applied():
            figure = style.new_figure(style.PAGE, 3.9)
            for place, grid in enumerate(found):
                axes: Any = figure.add_axes((0.435 * place, 0.07, 0.43, 0.77), projection=Axes3D.name)
                _surface(axes, mesh(grid), colours)
                axes.set_xlim(*layers)
                axes.set_ylim(*positions)
                axes.set_zlim(-limit, limit)
                _dress(axes)
                axes.set_title(_head(grid), y=1.0, pad=0, va="top", fontsize=style.NORMAL - 0.5).set_y(1.19)
            bar = figure.colorbar(colours, cax=figure.add_axes((0.915, 0.18, 0.016, 0.5)))
            bar.set_label("Activity Score", labelpad=3)
            bar.ax.tick_params(labelsize=style.SMALL)
            figure.text(0.5, 0.008, foot(found, self.settings, self.title), ha="center", fontsize=style.SMALL)
        return figure, points


def _head(grid: Grid) -> str:
    return f"{grid.title(56)}\n({grid.name})"


@dataclass(frozen=True)
class Mesh:
    """Corners and facets of a surface.

    Attributes:
        layers: of the corners, ``[layers]``.
        positions: of the corners, ``[positions]``.
        heights: scores, interpolated linearly between the cells of a grid, ``[positions, layers]``.
        grey: whether the cell nearest to a facet has no evidence, ``[positions - 1, layers - 1]``.
    """

    layers: np.ndarray
    positions: np.ndarray
    heights: np.ndarray
    grey: np.ndarray


def mesh(grid: Grid) -> Mesh:
    """Return the surface of a grid. Cells without evidence have height 0, so that they do not hide other cells."""
    across, along = _finer(grid.layers), _finer(grid.positions)
    rough = np.array([np.interp(along, grid.positions, row) for row in np.where(grid.readable, grid.scores, 0)])
    fine = np.array([np.interp(across, grid.layers, column) for column in rough.T])
    layer, position = _nearest(across, grid.layers), _nearest(along, grid.positions)
    return Mesh(across, along, fine, ~grid.readable[np.ix_(layer, position)].T)


def _surface(axes: Any, surface: Mesh, colours: Any) -> None:
    """Draw a surface; a facet has the colour of the mean of its corners, or grey."""
    from matplotlib.colors import to_rgba

    from thoughtscope.figures import style

    fine = surface.heights
    faces = colours.to_rgba((fine[:-1, :-1] + fine[1:, :-1] + fine[:-1, 1:] + fine[1:, 1:]) / 4)
    faces[surface.grey] = to_rgba(style.MUTED)
    x, y = np.meshgrid(surface.layers, surface.positions)
    drawn = axes.plot_surface(x, y, fine, facecolors=faces, rstride=1, cstride=1, shade=False)
    drawn.set_edgecolor(to_rgba(style.INK, 0.3))
    drawn.set_linewidth(0.15)


def _nearest(edges: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the index of the value nearest to the middle of each interval: ``[edges - 1]``."""
    middles = (edges[:-1] + edges[1:]) / 2
    nearest: np.ndarray = np.abs(middles[:, None] - values[None, :]).argmin(axis=1)
    return nearest


def _finer(values: np.ndarray) -> np.ndarray:
    """Return the values and, between each two of them, ``FINE - 1`` interpolated ones."""
    between: np.ndarray = np.interp(np.arange((len(values) - 1) * FINE + 1) / FINE, np.arange(len(values)), values)
    return between


def _dress(axes: Any) -> None:
    from thoughtscope.figures import style

    names = (("x", "Layer"), ("y", "Generated Token Position"), ("z", "Activity Score"))
    for axis, name in names:
        getattr(axes, f"set_{axis}label")(name, labelpad=-6, fontsize=style.SMALL + 0.5)
        side = getattr(axes, f"{axis}axis")
        side.set_pane_color((0.975, 0.975, 0.975, 1.0))
        side.set_major_locator(style.ticks(6, integer=axis != "z"))
        axes.tick_params(axis=axis, labelsize=style.SMALL, pad=-3, length=2)
    axes.view_init(elev=34, azim=-58)
    axes.set_box_aspect((1, 1.1, 0.8), zoom=0.97)
