"""Accuracy against what a response costs: one mark a method, a small one a seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from pydantic import Field

from thoughtscope.figures.base import Figure
from thoughtscope.settings import Strict
from thoughtscope.tables.accuracy_cost import costs
from thoughtscope.tables.identity import named, run_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from thoughtscope.figures.base import Drawn
    from thoughtscope.figures.looks import Series

AXES = {
    "forward passes": "mean_forward_passes",
    "text tokens": "mean_visible_tokens",
    "latents": "mean_latents",
    "operations": "mean_operations",
    "seconds": "seconds_per_question",
}


class CostSettings(Strict):
    """What is drawn to the right."""

    cost: Literal["forward passes", "text tokens", "latents", "operations", "seconds"] = Field(
        "forward passes", description="of a response, on average; seconds depend on the machine"
    )


class AccuracyCost(Figure):
    """One large mark for each method, the mean over its runs; a small one for each run."""

    READS = "runs"
    SERIES = "methods"
    SHARED = ("task",)
    Settings = CostSettings
    CAPTION = """
    Accuracy on the test questions at the end of each run against what a response costs on average. A small mark is a
    run, with the Wilson interval of its accuracy over questions; the large mark is the mean of a method's runs. The
    same numbers are columns of ``accuracy_cost.csv``.
    """
    settings: CostSettings

    def read(self, folders: Sequence[Path]) -> pd.DataFrame:
        """Return one row for each run: what names it, its accuracy, and what a response costs."""
        return pd.DataFrame([{**named(run_of(folder), self.methods), **costs(folder)} for folder in folders])

    def draw(self, data: pd.DataFrame) -> Drawn:
        """Return the figure and its points, one for each run.

        Args:
            data: what `read` returns.
        """
        from thoughtscope.figures import style

        column = AXES[self.settings.cost]
        points = data[["task", "backbone", "method", "trainable", "seed", column, "accuracy", "ci_low", "ci_high", "n"]]
        with style.applied():
            figure = style.new_figure(style.COLUMN, 2.9)
            axes = figure.add_axes((0.135, 0.14, 0.835, 0.76 if self.title else 0.82))
            for key, one in self.series.items():
                runs = points[points["method"] == key]
                if len(runs):
                    _draw(axes, runs, column, one)
            axes.set_xlim(left=0)
            axes.set_ylim(0, 1.03)
            axes.set_xlabel(f"{self.settings.cost.capitalize()} of a response")
            axes.set_ylabel("Accuracy")
            axes.grid(axis="y")
            axes.set_axisbelow(True)
            axes.legend(loc="lower right", handletextpad=0.4)
            if self.title:
                axes.set_title(style.readable(self.title))
        return figure, points


def _draw(axes: Axes, runs: pd.DataFrame, column: str, one: Series) -> None:
    """Draw the runs of a method and their mean."""
    from thoughtscope.figures import style

    look: dict[str, Any] = style.marker(one.look)
    reach = [runs["accuracy"] - runs["ci_low"], runs["ci_high"] - runs["accuracy"]]
    axes.errorbar(
        runs[column], runs["accuracy"], yerr=reach, fmt="none", ecolor=one.look.colour, elinewidth=0.6, alpha=0.6
    )
    axes.plot(runs[column], runs["accuracy"], linestyle="none", markersize=3, alpha=0.6, **look)
    label = style.readable(one.label)
    axes.plot([runs[column].mean()], [runs["accuracy"].mean()], linestyle="none", markersize=6.5, label=label, **look)
