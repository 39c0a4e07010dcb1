"""Accuracy on every test set: a panel for each set, a row for each method, a mark for each backbone."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill

import pandas as pd
from matplotlib.figure import Figure

from thoughtscope.errors import UserError
from thoughtscope.evaluation.seeds import accuracy_interval
from thoughtscope.figures import style
from thoughtscope.figures.settings import Benchmark as Settings

POINTS = ["split", "method", "backbone", "trainable", "seeds", "n", "accuracy", "ci_low", "ci_high"]


def draw(
    rows: pd.DataFrame, labels: Mapping[str, str], options: Settings, title: str | None = None
) -> tuple[Figure, pd.DataFrame]:
    """Return the figure and its points.

    Args:
        rows: `tables.ACCURACY` of one task and one trainable; of each run the last step is drawn.
        labels: the names of methods and backbones.

    Raises:
        UserError: several tasks, or live and frozen runs are mixed.
    """
    for column in ("task", "trainable"):
        if rows[column].nunique() > 1:
            raise UserError("benchmark", f"its runs mix several of {column}", f"name one {column} in its runs")
    points = _points(rows, options)
    splits, backbones = sorted(points["split"].unique()), style.in_order(points["backbone"].unique(), style.BACKBONES)
    methods = style.in_order(points["method"].unique(), style.METHODS)
    looks = style.looks(backbones, style.BACKBONES)
    with style.applied():
        height = 1.1 + 0.13 * len(methods) * (len(backbones) + 1)
        figure = style.new_figure(style.PAGE, height)
        panels = figure.subplots(1, len(splits), sharey=True, squeeze=False)[0]
        figure.subplots_adjust(left=0.15, right=0.98, bottom=0.75 / height, top=1 - 0.42 / height, wspace=0.12)
        for axes, split in zip(panels, splits, strict=True):
            for i, backbone in enumerate(backbones):
                part = points[(points["split"] == split) & (points["backbone"] == backbone)]
                at = [methods.index(name) + (i + 1) / (len(backbones) + 1) for name in part["method"]]
                errors = [part["accuracy"] - part["ci_low"], part["ci_high"] - part["accuracy"]]
                look = looks[backbone]
                axes.errorbar(
                    part["accuracy"], at, xerr=errors, fmt=look.marker, color=look.colour, markersize=3.5,
                    elinewidth=0.8, label=labels.get(backbone, backbone),
                )  # fmt: skip
            axes.set_title(split.removeprefix("test-"), fontsize=style.NORMAL)
            axes.set_xlim(0, 1.02)
            axes.set_ylim(len(methods), 0)
            axes.set_yticks(
                [i + 0.5 for i in range(len(methods))], [fill(labels.get(name, name), 18) for name in methods]
            )
            axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
            axes.tick_params(axis="y", length=0)
            axes.grid(axis="x")
            axes.set_xlabel("Accuracy")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="lower center", ncols=6, fontsize=style.SMALL, frameon=False)
        if title:
            figure.suptitle(title, fontsize=style.NORMAL)
    return figure, points


def _points(rows: pd.DataFrame, options: Settings) -> pd.DataFrame:
    """Return `POINTS`: seeds averaged, intervals over items and seeds; n is the number of items."""
    last = rows[rows["step"] == rows.groupby("run")["step"].transform("max")]
    points = []
    for (split, method, backbone, trainable), part in last.groupby(["split", "method", "backbone", "trainable"]):
        n, each = int(part["n"].iloc[0]), part["accuracy"]
        low, high = accuracy_interval([(each, n)], options.confidence)
        points.append([split, method, backbone, trainable, part["seed"].nunique(), n, each.mean(), low, high])
    return pd.DataFrame(points, columns=POINTS)
