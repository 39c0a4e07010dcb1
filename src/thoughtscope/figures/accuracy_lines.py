"""Draws accuracy against training step, with bands, marks at the ends of stages, and a legend that hides no data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from thoughtscope.evaluation.seeds import Solved, short
from thoughtscope.figures import style
from thoughtscope.figures.accuracy import MEASURED, SWITCH, AccuracySettings
from thoughtscope.figures.looks import Series

Corner = Literal["lower right", "upper right"]
THIN = 0.5  # factor of the line width if some seeds solve the task and others do not


def draw_lines(
    points: pd.DataFrame,
    series: Mapping[str, Series],
    bottom: float,
    corner: Corner,
    options: AccuracySettings,
    title: str | None,
) -> Figure:
    """Return a chart of the lines in the order of `series`.

    Args:
        points: columns `accuracy.POINTS`.
        series: the look of each line; lines without points are left out.
        bottom: the lower end of the accuracy axis, unless data are below it.
        corner: the corner of the legend. If it would hide data there, the axis is extended.
        title: above the figure; None: no title.
    """
    measured = _with_bands(points[points["mark"] == MEASURED])
    switches = points[points["mark"] == SWITCH]
    with style.applied():
        figure = style.new_figure(style.COLUMN, 2.9)
        axes = figure.add_axes((0.135, 0.14, 0.835, 0.76 if title else 0.80))
        for key, one in series.items():
            line = measured[measured["series"] == key]
            if len(line):
                _draw_line(axes, line, switches[switches["series"] == key], one)
        low = min(bottom, np.floor(measured["low"].min() * 20) / 20)
        axes.set_xlim(0, max(float(measured["step"].max()), 1.0) * 1.02)
        axes.set_ylim(low, 1.0)
        axes.set_xlabel("Step")
        axes.set_ylabel("Accuracy")
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.xaxis.set_major_locator(style.ticks(7))
        if title:
            axes.set_title(title, pad=14)
        note = "answered as the last stage does" + (";  |  a stage ends" if len(switches) else "")
        axes.text(0, 1.02, note, transform=axes.transAxes, fontsize=style.SMALL, va="bottom")
        _place_legend(figure, axes, measured, corner, legend_title(measured, options))
        axes.set_yticks(np.arange(np.ceil(low * 5 - 1e-9), 6) / 5)
    return figure


def _with_bands(points: pd.DataFrame) -> pd.DataFrame:
    """Add the ends of the band: for one seed its interval over questions, for several the range of seeds."""
    one = points["seeds"] == 1
    low, high = (points[f"ci_{end}"].where(one, points[f"{name}_seed"]) for end, name in _ENDS)
    return points.assign(low=low, high=high)


_ENDS = (("low", "lowest"), ("high", "highest"))


def _draw_line(axes: Any, line: pd.DataFrame, switches: pd.DataFrame, series: Series) -> None:
    look, first = series.look, line.iloc[0]
    split = 0 < first["seeds_solved"] < first["seeds"]
    axes.fill_between(line["step"], line["low"], line["high"], color=look.colour, alpha=0.12, linewidth=0)
    axes.plot(
        line["step"],
        line["accuracy"],
        linestyle=style.dash(look),
        linewidth=style.LINE * (THIN if split else 1),
        markersize=3.2,
        markevery=max(1, round(len(line) / 12)),
        label=_label(series.label, first),
        clip_on=False,
        zorder=3,
        **style.marker(look),
    )
    axes.scatter(switches["step"], switches["accuracy"], marker="|", s=45, linewidths=1.0, color=look.colour, zorder=4)


def _label(name: str, line: pd.Series) -> str:
    """Return the legend entry of a line; with several seeds, it has the number that solve the task."""
    name = style.readable(name)
    if line["seeds"] == 1 or pd.isna(line["seeds_solved"]):
        return name
    found = Solved(int(line["seeds_solved"]), int(line["seeds"]), line["solved_low"], line["solved_high"], np.nan)
    return f"{name}  {found.text}"


def legend_title(points: pd.DataFrame, options: AccuracySettings) -> str:
    """Return the title of the legend, which explains seeds, bands and the counts after the names."""
    seeds = points.groupby("series")["seeds"].max()
    low, high = int(seeds.min()), int(seeds.max())
    items = f"{options.confidence:.0%} interval over questions"
    if high == 1:
        return f"1 seed; band: {items}"
    number = f"{low} seeds" if low == high else f"{low} to {high} seeds"
    alone = f"\n(of one seed: {items})" if low == 1 else ""
    lines = f"mean of {number}; band: lowest to highest seed{alone}"
    if options.solved_at is None:
        return lines
    return f"{lines}\nk/n: seeds that end at {short(options.solved_at)} or above [{options.confidence:.0%} interval]"


def _place_legend(figure: Figure, axes: Any, points: pd.DataFrame, corner: Corner, title: str) -> None:
    """Draw the legend in its corner; if it would hide data, use more columns and extend the axis."""
    widest = None
    for columns in (1, 2, 3):
        box = _legend(figure, axes, corner, title, columns)
        if box.x0 < 0 and widest:
            box = _legend(figure, axes, corner, title, columns - 1)
            break
        if not _hides(axes, points, box, corner):
            return
        widest = box
    wide = points[points["step"] >= _data_x(axes, box.x0)]
    bottom, top = axes.get_ylim()
    taken = box.height + 0.03
    if corner == "lower right":
        axes.set_ylim(min(bottom, (wide["low"].min() - taken * top) / (1 - taken)), top)
    else:
        axes.set_ylim(bottom, max(top, (wide["high"].max() - taken * bottom) / (1 - taken)))


def _legend(figure: Figure, axes: Any, corner: Corner, title: str, columns: int) -> Any:
    """Draw the legend and return its box in axes coordinates."""
    legend = axes.legend(
        loc=corner,
        ncols=columns,
        title=title,
        title_fontsize=style.SMALL,
        handlelength=2.6,
        columnspacing=1.0,
        labelspacing=0.3,
        borderaxespad=0.2,
    )
    legend.get_title().set_multialignment("center")
    figure.canvas.draw()
    return legend.get_window_extent().transformed(axes.transAxes.inverted())


def _hides(axes: Any, points: pd.DataFrame, box: Any, corner: Corner) -> bool:
    """Return whether any band or line intersects the box of the legend, also between points."""
    bottom, top = axes.get_ylim()
    left = _data_x(axes, box.x0)
    for _, line in points.groupby("series"):
        reach = np.append(line["step"].to_numpy(dtype=float), left)
        inside = reach[reach >= left]
        if corner == "lower right":
            lowest = np.interp(inside, line["step"], line["low"]).min()
            hidden = lowest < bottom + (box.y1 + 0.01) * (top - bottom)
        else:
            highest = np.interp(inside, line["step"], line["high"]).max()
            hidden = highest > bottom + (box.y0 - 0.01) * (top - bottom)
        if hidden:
            return True
    return False


def _data_x(axes: Any, x: float) -> float:
    left, right = axes.get_xlim()
    return float(left + x * (right - left))
