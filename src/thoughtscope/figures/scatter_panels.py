"""Draws a 2 x 2 grid of 3D scatter plots of the latents of methods, with counts in each panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from mpl_toolkits.mplot3d import Axes3D

from thoughtscope.figures import style
from thoughtscope.figures.looks import Series
from thoughtscope.figures.projection import COMPONENTS, Panel, project
from thoughtscope.figures.scatter import Latents, Projection

_HEIGHT, _TOP = 6.6, 0.915  # inches; share of the height below the legend


def draw_panels(
    data: Latents,
    series: Mapping[str, Series],
    panels: Sequence[Panel],
    options: Projection,
    title: str | None,
) -> tuple[Figure, pd.DataFrame]:
    """Return the figure and its points: the rows of `data.table` that are shown, with panel, components and questions.

    Args:
        series: label and look of each method, in the order of the legend.
    """
    points, explained = project(data.table, data.vectors, panels, options)
    points["questions"] = points["method"].map(dict(data.questions))
    there = set(data.table["method"])
    order = [name for name in series if name in there]
    limits = _limits(points) if options.pca == "common" else None
    with style.applied():
        figure = style.new_figure(style.PAGE, _HEIGHT)
        for place, (panel, shares) in enumerate(zip(panels, explained, strict=True)):
            axes: Any = figure.add_axes(_place(place), projection=Axes3D.name)
            part = points[points["panel"] == panel.title]
            counts = []
            for method in order:
                mine = part[part["method"] == method]
                look = series[method].look
                axes.scatter(
                    *(mine[name].to_numpy() for name in COMPONENTS),
                    s=7,
                    c=look.colour if look.filled else "none",
                    edgecolors=look.colour,
                    marker=look.marker,
                    alpha=0.6,
                    linewidths=0 if look.filled else 0.5,
                    depthshade=False,
                    label=style.readable(series[method].label),
                )
                unused = set(mine["latent_index"]) <= set(data.inert.get(method, ()))
                counts.append((look.colour, _count(mine, data.questions[method], options.fewest, unused)))
            _dress(axes, panel.title, shares, limits or _limits(part), counts)
        _legend(figure, [series[name] for name in order], _note(options, explained), title)
    return figure, points


def _place(place: int) -> tuple[float, float, float, float]:
    row, column = divmod(place, 2)
    height = _TOP / 2
    return 0.0 + column * 0.5, (1 - row) * height + 0.008, 0.485, height - 0.048


def _limits(points: pd.DataFrame) -> list[tuple[float, float]]:
    limits = []
    for name in COMPONENTS:
        low, high = (points[name].min(), points[name].max()) if len(points) else (-1.0, 1.0)
        margin = 0.03 * (high - low) or 1.0
        limits.append((low - margin, high + margin))
    return limits


def _count(points: pd.DataFrame, questions: int, fewest: int, unused: bool) -> str:
    """Return how many points there are, their share of the questions, what most precede, and whether they are inert."""
    n = len(points)
    share = f"n = {n} ({n / questions:.0%})" if questions else f"n = {n}"
    few = f"{share}, fewer than {fewest}" if n < fewest else share
    return f"{few}, {_precede(points)}{', inert' if unused else ''}" if n else few


def _precede(points: pd.DataFrame) -> str:
    """Return what follows most latents: one token if it follows at least half of them, else a kind of token."""
    token, role = (points[name].fillna("").value_counts(normalize=True) for name in ("next_token", "next_role"))
    if token.iloc[0] >= 0.5:
        name = f"'{style.readable(token.index[0].strip())}'" if token.index[0] else "the end"
        return f"{token.iloc[0]:.0%} before {name}"
    return f"{role.iloc[0]:.0%} before {role.index[0]}"


def _dress(
    axes: Any, title: str, shares: np.ndarray, limits: list[tuple[float, float]], counts: list[tuple[str, str]]
) -> None:
    axes.set_title(title, y=1.0, pad=0, fontweight="bold").set_y(1.03)
    for axis, limit, share, name in zip("xyz", limits, shares, ("PC1", "PC2", "PC3"), strict=True):
        getattr(axes, f"set_{axis}lim")(*limit)
        label = f"{name} ({share:.0%})" if np.isfinite(share) else name
        getattr(axes, f"set_{axis}label")(label, labelpad=-7, fontsize=style.SMALL + 0.5)
        side = getattr(axes, f"{axis}axis")
        side.set_pane_color((0.975, 0.975, 0.975, 1.0))
        side.set_major_locator(style.ticks(4))
        axes.tick_params(axis=axis, labelsize=style.SMALL, pad=-3, length=2)
    axes.view_init(elev=20, azim=-55)
    axes.set_box_aspect((1, 1, 0.85), zoom=1.03)
    for line, (colour, text) in enumerate(counts):
        axes.text2D(-0.02, 0.965 - 0.055 * line, text, color=colour, fontsize=style.SMALL, transform=axes.transAxes)


def _note(options: Projection, explained: list[np.ndarray]) -> str:
    what = "vectors fed at the latents" if options.vectors == "input" else "hidden states at the latents"
    norm = ", unit norm" if options.unit_norm else ""
    if options.pca == "panel":
        return f"{what}{norm}; one PCA for each panel"
    return f"{what}{norm}; one PCA for all panels, {np.nansum(explained[0]):.0%} of the variance in three components"


def _legend(figure: Figure, entries: Sequence[Series], note: str, title: str | None) -> None:
    handles = [
        Line2D([], [], linestyle="none", markersize=5, label=style.readable(one.label), **style.marker(one.look))
        for one in entries
    ]
    figure.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.98 if title else 1.0),
        ncols=min(4, len(handles)),
        frameon=False,
        fontsize=style.NORMAL,
        handletextpad=0.2,
    )
    if title:
        figure.text(0.5, 0.995, title, ha="center", va="top", fontsize=style.NORMAL + 1)
    figure.text(0.5, 0.945 if title else 0.96, note, ha="center", va="top", fontsize=style.SMALL)
