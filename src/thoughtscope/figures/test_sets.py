"""Accuracy on all test sets: a panel for each set, a row for each method, a marker for each backbone."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from thoughtscope.errors import UserError
from thoughtscope.evaluation.seeds import accuracy_interval, short, solved
from thoughtscope.evaluation.settings import Solving
from thoughtscope.figures.base import Figure
from thoughtscope.schemas import LAST, OTHER_LATENTS

if TYPE_CHECKING:
    from thoughtscope.figures.base import Drawn

POINTS = [
    *("split", "method", "backbone", "trainable", "seeds", "n", "accuracy", "ci_low", "ci_high"),
    *("seeds_solved", "solved_low", "solved_high"),
]


class AllTestSets(Figure):
    """A panel for each test set, a row for each method, a marker for each backbone."""

    READS = "runs"
    SERIES = "backbones"
    METHODS = True
    SHARED = ("task", "trainable")
    Settings = Solving
    CAPTION = """
    Final accuracy on every test set: a panel for each set, a row for each method, a mark for each backbone. With one
    seed bars are Wilson intervals over questions. With several, marks are their mean, bars hold for other questions
    and other seeds, and the count beside a mark is how many seeds solve the task. ``test_sets.csv`` adds the sets'
    mean, the paired difference to the baseline, the cost of a response and published values.
    """
    settings: Solving

    def draw(self, data: pd.DataFrame) -> Drawn:
        """Return the figure and its points.

        Args:
            data: `schemas.ACCURACY` of one task and one trainable; the last step of each run is drawn.

        Raises:
            UserError: there are several tasks, or both live and frozen runs.
        """
        from thoughtscope.figures import style

        for column in ("task", "trainable"):
            if data[column].nunique() > 1:
                raise UserError("test_sets", f"its runs mix several of {column}", f"name one {column} in its runs")
        own = data[~data["split"].str.contains(OTHER_LATENTS, regex=False)]
        points = _points(own, self.settings)
        splits = sorted(points["split"].unique())
        backbones = [name for name in self.series if name in set(points["backbone"])]
        shown = [name for name in self.methods if name in set(points["method"])]
        with style.applied():
            height = 1.25 + 0.13 * len(shown) * (len(backbones) + 1)
            figure = style.new_figure(style.PAGE, height)
            panels = figure.subplots(1, len(splits), sharey=True, squeeze=False)[0]
            figure.subplots_adjust(left=0.15, right=0.95, bottom=0.9 / height, top=1 - 0.42 / height, wspace=0.2)
            for axes, split in zip(panels, splits, strict=True):
                for i, backbone in enumerate(backbones):
                    part = points[(points["split"] == split) & (points["backbone"] == backbone)]
                    at = [shown.index(name) + (i + 1) / (len(backbones) + 1) for name in part["method"]]
                    errors = [part["accuracy"] - part["ci_low"], part["ci_high"] - part["accuracy"]]
                    axes.errorbar(
                        part["accuracy"], at, xerr=errors, linestyle="none", markersize=3.5, elinewidth=0.8,
                        label=style.readable(self.series[backbone].label), **style.marker(self.series[backbone].look),
                    )  # fmt: skip
                    for y, (_, one) in zip(at, part.iterrows(), strict=True):
                        if one["seeds"] > 1 and not pd.isna(one["seeds_solved"]):
                            count = f"{one['seeds_solved']:.0f}/{one['seeds']}"
                            axes.text(1.04, y, count, fontsize=style.SMALL - 1, va="center", color=style.INK)
                axes.set_title(split.removeprefix("test-"), fontsize=style.NORMAL)
                axes.set_xlim(0, 1.02)
                axes.set_ylim(len(shown), 0)
                names = [fill(style.readable(self.methods[name]), 18) for name in shown]
                axes.set_yticks([i + 0.5 for i in range(len(shown))], names)
                axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
                axes.tick_params(axis="y", length=0)
                axes.grid(axis="x")
                axes.set_xlabel("Accuracy")
            handles, names = panels[0].get_legend_handles_labels()
            low = 0.16 / height
            figure.legend(
                handles,
                names,
                loc="lower center",
                bbox_to_anchor=(0.5, low),
                ncols=6,
                fontsize=style.SMALL,
                frameon=False,
            )
            figure.text(0.5, 0.06 / height, _note(points, self.settings), ha="center", fontsize=style.SMALL)
            if self.title:
                figure.suptitle(self.title, fontsize=style.NORMAL)
        return figure, points


def _note(points: pd.DataFrame, options: Solving) -> str:
    """Return the note that explains seeds, bars and counts."""
    low, high = int(points["seeds"].min()), int(points["seeds"].max())
    if high == 1:
        return f"1 seed; bars: {options.confidence:.0%} interval over questions"
    number = f"{low} seeds" if low == high else f"{low} to {high} seeds"
    bars = f"mean of {number}; bars: {options.confidence:.0%} interval over questions and seeds"
    if options.solved_at is None:
        return bars
    return f"{bars}; k/n: seeds that end at {short(options.solved_at)} or above"


def _points(rows: pd.DataFrame, options: Solving) -> pd.DataFrame:
    """Return the columns `POINTS`: means over seeds, intervals over items and seeds, and the number of items."""
    last = rows[(rows["layout"] == LAST) & (rows["step"] == rows.groupby("run")["step"].transform("max"))]
    points = []
    for (split, method, backbone, trainable), part in last.groupby(["split", "method", "backbone", "trainable"]):
        n, each = int(part["n"].iloc[0]), part["accuracy"]
        low, high = accuracy_interval([(each, n)], options.confidence, options.solved_at)
        named = [split, method, backbone, trainable, part["seed"].nunique(), n, each.mean(), low, high]
        found = None if options.solved_at is None else solved(each, options.solved_at, options.confidence)
        points.append([*named, *((found.count, found.low, found.high) if found else (np.nan,) * 3)])
    return pd.DataFrame(points, columns=POINTS)
