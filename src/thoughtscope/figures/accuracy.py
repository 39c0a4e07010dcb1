"""Accuracy against training step: one line a (trainable, backbone), a band of its interval, a legend off the data.

Shared by the accuracy figures; which runs belong to one, and how lines look, is theirs to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from thoughtscope.errors import UserError
from thoughtscope.evaluation.seeds import accuracy_interval
from thoughtscope.figures import style
from thoughtscope.figures.settings import Accuracy

Corner = Literal["lower right", "upper right"]
POINTS = ["line", "task", "method", "backbone", "trainable", "step", "accuracy", "ci_low", "ci_high", "n", "seeds"]


def curves(rows: pd.DataFrame, labels: Mapping[str, str], options: Accuracy) -> pd.DataFrame:
    """Return the points of every line: seeds averaged, intervals over items and seeds.

    Args:
        rows: `tables.ACCURACY`; one task and one method.
        labels: the name of each backbone in the legend.

    Returns:
        Columns `POINTS`; of lines with several seeds only the steps that all of them measured.

    Raises:
        UserError: no row of the split, or runs of several tasks or methods.
    """
    rows = rows[rows["split"] == options.split]
    if rows.empty:
        raise UserError("figure", f"no accuracy of split {options.split!r}", "name a split that runs measure")
    for column in ("task", "method"):
        several = sorted(rows[column].unique())
        if len(several) > 1:
            raise UserError("figure", f"its runs mix {column}s {', '.join(several)}", f"name one {column} in its runs")
    points = [
        _curve(part, labels.get(str(backbone), str(backbone)), options.confidence)
        for (trainable, backbone), part in rows.groupby(["trainable", "backbone"])
    ]
    return pd.concat(points, ignore_index=True)[POINTS]


def _curve(rows: pd.DataFrame, label: str, confidence: float) -> pd.DataFrame:
    seeds = rows["seed"].nunique()
    grouped = rows.groupby("step").agg(
        accuracy=("accuracy", "mean"), each=("accuracy", list), n=("n", "first"), seeds=("seed", "nunique")
    )
    grouped = grouped[grouped["seeds"] == seeds].reset_index()
    intervals = [
        accuracy_interval([(each, int(n))], confidence) for each, n in zip(grouped["each"], grouped["n"], strict=True)
    ]
    grouped[["ci_low", "ci_high"]] = np.array(intervals)
    first = rows.iloc[0]
    for column in ("task", "method", "backbone", "trainable"):
        grouped[column] = first[column]
    grouped["line"] = label
    return grouped


def draw_lines(
    points: pd.DataFrame,
    looks: Sequence[tuple[str, style.Look]],
    bottom: float,
    corner: Corner,
    options: Accuracy,
    title: str | None,
) -> Figure:
    """Return a chart of the lines in the order of `looks`.

    Args:
        points: columns `POINTS`.
        looks: the lines to draw and how each looks; the legend has their order.
        bottom: where the accuracy axis starts, unless the data go lower.
        corner: of the legend. Where it would hide data, the axis is lengthened beyond them.
    """
    with style.applied():
        figure = style.new_figure(style.COLUMN, 2.75)
        axes = figure.add_axes((0.135, 0.145, 0.835, 0.79 if title else 0.835))
        last = max(float(points["step"].max()), 1.0)
        for name, look in looks:
            line = points[points["line"] == name]
            axes.fill_between(line["step"], line["ci_low"], line["ci_high"], color=look.colour, alpha=0.12, linewidth=0)
            axes.plot(
                line["step"],
                line["accuracy"],
                color=look.colour,
                linestyle=look.dash,
                marker=look.marker,
                markersize=3.2,
                markeredgewidth=0,
                markevery=max(1, round(len(line) / 12)),
                label=name,
                clip_on=False,
                zorder=3,
            )
        low = min(bottom, np.floor(points["ci_low"].min() * 20) / 20)
        axes.set_xlim(0, last * 1.02)
        axes.set_ylim(low, 1.0)
        axes.set_xlabel("Step")
        axes.set_ylabel("Accuracy")
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.xaxis.set_major_locator(style.ticks(7))
        if title:
            axes.set_title(title)
        _place_legend(figure, axes, points, corner, _legend_title(points, options))
        axes.set_yticks(np.arange(np.ceil(low * 5 - 1e-9), 6) / 5)
    return figure


def _legend_title(points: pd.DataFrame, options: Accuracy) -> str:
    seeds = points.groupby("line")["seeds"].max()
    low, high = int(seeds.min()), int(seeds.max())
    band = f"band: {options.confidence:.0%} interval"
    if high == 1:
        return band
    return f"mean of {low if low == high else f'{low} to {high}'} seeds, {band}"


def _place_legend(figure: Figure, axes: Any, points: pd.DataFrame, corner: Corner, title: str) -> None:
    """Set the legend into its corner; where it would hide data, make it wide and lengthen the axis to clear them."""
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
        axes.set_ylim(min(bottom, (wide["ci_low"].min() - taken * top) / (1 - taken)), top)
    else:
        axes.set_ylim(bottom, max(top, (wide["ci_high"].max() - taken * bottom) / (1 - taken)))


def _legend(figure: Figure, axes: Any, corner: Corner, title: str, columns: int) -> Any:
    """Draw the legend and return its box, in shares of the axes."""
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
    figure.canvas.draw()
    return legend.get_window_extent().transformed(axes.transAxes.inverted())


def _hides(axes: Any, points: pd.DataFrame, box: Any, corner: Corner) -> bool:
    """Return whether any band or line, between the points as well, runs through the legend's box."""
    bottom, top = axes.get_ylim()
    left = _data_x(axes, box.x0)
    for _, line in points.groupby("line"):
        reach = np.append(line["step"].to_numpy(dtype=float), left)
        inside = reach[reach >= left]
        if corner == "lower right":
            lowest = np.interp(inside, line["step"], line["ci_low"]).min()
            hidden = lowest < bottom + (box.y1 + 0.01) * (top - bottom)
        else:
            highest = np.interp(inside, line["step"], line["ci_high"]).max()
            hidden = highest > bottom + (box.y0 - 0.01) * (top - bottom)
        if hidden:
            return True
    return False


def _data_x(axes: Any, x: float) -> float:
    left, right = axes.get_xlim()
    return float(left + x * (right - left))
