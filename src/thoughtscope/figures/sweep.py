"""Accuracy of a sweep: the values of the first key to the right, one line for each combination of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from thoughtscope.figures.base import Figure
from thoughtscope.schemas import LAST
from thoughtscope.settings import Strict

if TYPE_CHECKING:
    from thoughtscope.figures.base import Drawn


class SweepPoints(Strict):
    """Which values each method of a sweep has."""

    points: dict[str, dict[str, str]]


class Sweep(Figure):
    """A mark for each run, and a line through the means over seeds."""

    READS = "runs"
    SHARED = ("task",)
    Settings = SweepPoints
    CAPTION = """
    Accuracy on the test questions at the end of each run of a sweep, for each value of the first key that is swept; a
    line for each combination of the other keys, and of backbones and live or frozen, goes through the means over
    seeds. Bars are Wilson intervals over questions of single runs.
    """
    settings: SweepPoints

    def draw(self, data: pd.DataFrame) -> Drawn:
        """Return the figure and its points, one for each run.

        Args:
            data: `schemas.ACCURACY` of one task.
        """
        from thoughtscope.figures import style
        from thoughtscope.figures.looks import SPARE

        points = ended(data, self.settings.points)
        key, values = points.columns[0], list(dict.fromkeys(one for one in points.iloc[:, 0]))
        with style.applied():
            figure = style.new_figure(style.COLUMN, 2.9)
            axes = figure.add_axes((0.135, 0.14, 0.835, 0.76 if self.title else 0.82))
            lines = list(points.groupby("line", sort=False))
            for i, (name, line) in enumerate(lines):
                look = SPARE[i % len(SPARE)]
                at = line[key].map(values.index) + 0.06 * (i - (len(lines) - 1) / 2)
                reach = [line["accuracy"] - line["ci_low"], line["ci_high"] - line["accuracy"]]
                axes.errorbar(at, line["accuracy"], yerr=reach, fmt="none", ecolor=look.colour, elinewidth=0.6)
                axes.plot(at, line["accuracy"], linestyle="none", markersize=3.5, **style.marker(look))
                mean = line.assign(at=at).groupby("at")["accuracy"].mean()
                axes.plot(
                    mean.index, mean, color=look.colour, linestyle=style.dash(look), label=style.readable(str(name))
                )
            axes.set_xticks(range(len(values)), [style.readable(one) for one in values])
            axes.set_ylim(0, 1.03)
            axes.set_xlabel(style.readable(key))
            axes.set_ylabel("Accuracy")
            axes.grid(axis="y")
            axes.set_axisbelow(True)
            if len(lines) > 1:
                axes.legend(loc="lower right")
            if self.title:
                axes.set_title(style.readable(self.title))
        return figure, points


def ended(data: pd.DataFrame, points: dict[str, dict[str, str]]) -> pd.DataFrame:
    """Return a row for each run as it ended: its values, its line, its seed, and its accuracy with an interval."""
    kept = data[(data["split"] == "test") & (data["layout"] == LAST) & data["method"].isin(list(points))]
    last = kept.sort_values("step").groupby("run", sort=False).tail(1)
    keys = list(next(iter(points.values())))
    several = [one for one in ("backbone", "trainable") if last[one].nunique() > 1]
    place = {method: i for i, method in enumerate(points)}
    last = last.assign(place=last["method"].map(place)).sort_values(["place", "seed"])
    rows = []
    for run in last.to_dict("records"):
        values = points[run["method"]]
        others = [f"{key.rpartition('.')[2]} {values[key]}" for key in keys[1:]]
        measured = {one: run[one] for one in ("backbone", "trainable", "seed", "accuracy", "ci_low", "ci_high", "n")}
        line = ", ".join([*others, *(run[one] for one in several)])
        rows.append({**values, "line": line, "method": run["method"], **measured})
    return pd.DataFrame(rows)
