"""Where and when a value can be read, next to what the answer uses: readable but unused becomes visible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from thoughtscope.evaluation.effects import donor_rows
from thoughtscope.evaluation.settings import Intervals
from thoughtscope.figures.base import Figure, frame, further

if TYPE_CHECKING:
    from thoughtscope.figures.base import Drawn

FED, USED = "fed", "followed"
MAP = "YlGnBu"
POINTS = ["method", "place", "latent_index", "target", "n", "value", "ci_low", "ci_high", "passes_null"]


class ReadAndUsed(Figure):
    """A heat map for each method: layers by latents what a probe reads, and below it whose value answers follow."""

    READS = "probes"
    PROBE_TABLE = "evidence"
    FURTHER = ("effects",)
    METHODS = True
    SHARED = ("task", "backbone", "trainable", "seed")
    Settings = Intervals
    CAPTION = """
    Where and when: the accuracy of a linear probe on held-out questions for the step whose value is read best (its
    number in small) in the vector fed at each latent and in the state of each layer there; hatched where the probe does
    not beat permuted values. Last row: the share of answers that follow the other question's value after that latent
    was exchanged. A value that can be read where no answer follows it is present but not used there.
    """
    settings: Intervals

    def read(self, folders: Sequence[Path]) -> Mapping[str, pd.DataFrame | None]:
        """Return the tables `evidence` and, if a probe writes it, `effects`."""
        read = [path for folder in folders if (path := folder / "tables/evidence.parquet").is_file()]
        return {"evidence": frame(read), "effects": further(folders, "effects")}

    def draw(self, data: Mapping[str, pd.DataFrame | None]) -> Drawn:
        """Return the figure and its points."""
        from matplotlib import colormaps
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        from thoughtscope.figures import style

        points = self._points(data)
        methods = [name for name in self.methods if name in set(points["method"])]
        places = list(dict.fromkeys(points.sort_values("order")["place"]))
        colours = ScalarMappable(Normalize(0, 1), colormaps[MAP])
        with style.applied():
            height = 1.3 + 0.26 * len(places)
            figure = style.new_figure(style.PAGE, height)
            panels = figure.subplots(1, len(methods), sharey=True, squeeze=False)[0]
            figure.subplots_adjust(left=0.115, right=0.91, top=1 - 0.35 / height, bottom=0.72 / height, wspace=0.06)
            for axes, method in zip(panels, methods, strict=True):
                _heatmap(axes, points[points["method"] == method], places, colours)
                axes.set_title(style.readable(self.methods[method]), fontsize=style.NORMAL)
                axes.set_xlabel("Latent")
            panels[0].set_yticks(range(len(places)), places)
            bar = figure.add_axes((0.925, 0.72 / height, 0.013, 1 - 1.07 / height))
            figure.colorbar(colours, cax=bar)
            note = "accuracy of the probe, or share of answers; small: the value's step; hatched: not above chance"
            figure.text(0.5, 0.12 / height, note, ha="center", fontsize=style.SMALL)
            if self.title:
                figure.text(0.5, 1 - 0.03 / height, self.title, ha="center", va="top", fontsize=style.NORMAL + 1)
        return figure, points[POINTS]

    def _points(self, data: Mapping[str, pd.DataFrame | None]) -> pd.DataFrame:
        evidence = data["evidence"]
        assert evidence is not None
        if "target" not in evidence:
            evidence = evidence.assign(target=0)
        order = evidence["layer"].fillna(-1)
        read = evidence.assign(order=order, place=[FED if one < 0 else f"layer {one:.0f}" for one in order])
        best = read.groupby(["method", "order", "latent_index"])["value"].idxmax()
        parts = [read.loc[best]]
        if data["effects"] is not None:
            used = pd.DataFrame(donor_rows(data["effects"], "swap", self.settings.confidence))
            used = used.loc[used.groupby(["method", "latent_index"])["donor_share"].idxmax()]
            names = {"donor_share": "value", "donor_low": "ci_low", "donor_high": "ci_high", "donor_n": "n"}
            parts.append(used.rename(columns=names).assign(place=USED, order=np.inf, passes_null=True))
        rows = pd.concat(parts, ignore_index=True)
        return rows[[*POINTS, "order"]].sort_values(["method", "order", "latent_index"], ignore_index=True)


def _heatmap(axes: Any, points: pd.DataFrame, places: list[str], colours: Any) -> None:
    from matplotlib.patches import Rectangle

    from thoughtscope.figures import style

    steps = sorted(points["latent_index"].unique())
    for _, one in points.iterrows():
        x, y = steps.index(one["latent_index"]), places.index(one["place"])
        corner = (x - 0.5, y - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, facecolor=colours.to_rgba(one["value"]), linewidth=0))
        if not one["passes_null"]:
            axes.add_patch(Rectangle(corner, 1, 1, facecolor="none", edgecolor="#9a9a9a", hatch="////", linewidth=0))
        ink = "white" if one["value"] > 0.6 else style.INK
        axes.text(x - 0.06, y, f"{one['value']:.2f}".replace("0.", "."), ha="center", va="center", color=ink,
                  fontsize=style.SMALL - 0.5)  # fmt: skip
        if one["target"]:
            axes.text(x + 0.45, y + 0.42, f"{one['target']:.0f}", ha="right", va="bottom", color=ink, fontsize=4.5)
    if USED in places:
        axes.axhline(places.index(USED) - 0.5, color="white", linewidth=3)
    axes.set_xlim(-0.5, len(steps) - 0.5)
    axes.set_ylim(len(places) - 0.5, -0.5)
    axes.set_xticks(range(len(steps)), [f"{step:.0f}" for step in steps])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
