"""What latents would say, as text: the nearest tokens of each latent of a few questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from pydantic import Field

from thoughtscope.figures.base import Figure
from thoughtscope.settings import Count, Positive, Strict

if TYPE_CHECKING:
    from thoughtscope.figures.base import Drawn


WIDEST = 6  # characters of a token; longer ones are cut


class StripSettings(Strict):
    """Which readouts are shown."""

    readout: Literal["head", "embedding"] = Field("head", description="by the output head, or by embedding")
    layer: Count | None = Field(None, description="of head; null: the last, after the final norm")
    questions: Positive = Field(3, description="questions shown of each method")
    tokens: Positive = Field(3, description="tokens shown of each latent")


class LatentReadouts(Figure):
    """A block for each method, a row for each question, a column for each latent."""

    READS = "probes"
    PROBE_TABLE = "readouts"
    METHODS = True
    SHARED = ("task", "backbone", "trainable", "seed")
    Settings = StripSettings
    CAPTION = """
    What each latent would say: the likeliest tokens at it, with their probabilities (by embedding: the nearest tokens,
    with cosines). A cell is green where the first token is the value of a step, whose number it names. The first test
    questions are shown; ``readouts.csv`` has the shares over all.
    """
    settings: StripSettings

    def draw(self, data: pd.DataFrame) -> Drawn:
        """Return the figure and its points; `data` is the table `readouts` of a probe."""
        from thoughtscope.figures import style

        points = self._points(data)
        methods = [name for name in self.methods if name in set(points["method"])]
        most = int(points["latent_index"].max())
        per, line = self.settings.questions, 0.105 * self.settings.tokens + 0.08
        height = 0.6 + len(methods) * (0.34 + per * line)
        with style.applied():
            figure = style.new_figure(style.PAGE, height)
            top = height - 0.32
            for method in methods:
                part = points[points["method"] == method]
                size = 0.3 + line * part["example_id"].nunique()
                axes = figure.add_axes((0.21, (top - size) / height, 0.78, (size - 0.3) / height))
                _block(axes, part, most, self.settings.tokens)
                axes.set_title(style.readable(self.methods[method]), loc="left", fontsize=style.NORMAL, pad=11)
                top -= size + 0.04
            what = "output head" if self.settings.readout == "head" else "embedding"
            note = f"nearest tokens by {what}; green: the first is the value of that step of the question"
            figure.text(0.5, 0.05 / height, note, ha="center", fontsize=style.SMALL)
            if self.title:
                figure.text(0.5, 1 - 0.05 / height, self.title, ha="center", va="top", fontsize=style.NORMAL + 1)
        return figure, points

    def _points(self, data: pd.DataFrame) -> pd.DataFrame:
        chosen = data[(data["readout"] == self.settings.readout) & (data["rank"] <= self.settings.tokens)]
        if self.settings.readout == "head":
            layer = chosen["layer"].max() if self.settings.layer is None else self.settings.layer
            chosen = chosen[chosen["layer"] == layer]
        shown = chosen.groupby("method")["example_id"].transform(
            lambda names: names.isin(names.unique()[: self.settings.questions])
        )
        columns = ["method", "example_id", "question", "step_values", "latent_index", "layer", "rank", "token", "score"]
        found: pd.DataFrame = chosen.loc[shown, columns].reset_index(drop=True)
        return found.assign(step_values=found["step_values"].map(" ".join))


def _block(axes: Any, points: pd.DataFrame, most: int, tokens: int) -> None:
    from matplotlib.patches import Rectangle

    from thoughtscope.figures import style

    names = points["example_id"].unique()
    axes.set_xlim(0.5, most + 0.5)
    axes.set_ylim(len(names), 0)
    axes.axis("off")
    for k in range(1, most + 1):
        axes.text(k, -0.04, f"latent {k}", ha="center", va="bottom", fontsize=style.SMALL, color="#777777")
    for row, name in enumerate(names):
        here = points[points["example_id"] == name]
        values = here["step_values"].iloc[0]
        label = f"{style.readable(here['question'].iloc[0])}\nsteps: {values.replace(' ', ', ')}"
        axes.text(0.42, row + 0.5, label, ha="right", va="center", fontsize=style.SMALL)
        for k, cell in here.groupby("latent_index"):
            said = cell.sort_values("rank")
            steps = [i for i, one in enumerate(values.split(), start=1) if one == said["token"].iloc[0].strip()]
            colour = "#cfe8cf" if steps else "#f3f3f3"
            axes.add_patch(Rectangle((k - 0.48, row + 0.04), 0.96, 0.92, facecolor=colour, linewidth=0))
            for i, (token, score) in enumerate(zip(said["token"], said["score"], strict=True)):
                at, weight = row + 0.04 + 0.92 * (i + 0.5) / tokens, "bold" if i == 0 else "normal"
                text = style.readable(token.strip().replace("\n", "↵") or "␣")
                short = text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"
                axes.text(k - 0.44, at, short, va="center", fontsize=style.SMALL - 0.5, fontweight=weight)
                number = f"{score:.2f}".replace("0.", ".")
                axes.text(k + 0.25, at, number, va="center", ha="right", fontsize=style.SMALL - 1, color="#666666")
            if steps:
                mark = ",".join(map(str, steps))
                axes.text(
                    k + 0.46,
                    row + 0.04 + 0.46 / tokens,
                    mark,
                    va="center",
                    ha="right",
                    fontsize=style.SMALL,
                    color="#1a7a1a",
                )
