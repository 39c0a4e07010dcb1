"""What changes of single latents do to the answer: accuracy after each intervention, and whose value answers follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from thoughtscope.evaluation.effects import donor_rows, effect_rows
from thoughtscope.evaluation.settings import Intervals
from thoughtscope.figures.base import Figure
from thoughtscope.settings import Positive

if TYPE_CHECKING:
    from thoughtscope.figures.base import Drawn

LOOKS = {  # colour and marker of each intervention
    "mean": ("#1f5fa8", "o"),
    "other": ("#2a9d8f", "s"),
    "swap": ("#d1495b", "D"),
    "zeros": ("#8d8d8d", "v"),
    "noise": ("#c0a000", "^"),
    "remove": ("#7b3fa0", "x"),
    "add": ("#7b3fa0", "+"),
}
TARGETS = ["#f4a259", "#5b8e7d", "#8cb369", "#bc4b51", "#5d737e", "#9d8189"]
NAMES = {"mean": "mean of all questions", "other": "another question's", "swap": "exchanged, other values"}
NAMES |= {"noise": "noise, equal norm", "remove": "removed from here on", "add": "added up to here"}


class EffectsSettings(Intervals):
    """How effects are drawn."""

    fewest: Positive = Field(
        20, description="questions that must reach a latent before it is drawn; or half of all, if that is less"
    )
    resamples: Positive = Field(1000, description="resamples of questions behind intervals of log-probabilities")


class LatentEffects(Figure):
    """A column for each method: accuracy after each intervention above, whose value answers follow below."""

    READS = "probes"
    PROBE_TABLE = "effects"
    METHODS = True
    SHARED = ("task", "backbone", "trainable")
    Settings = EffectsSettings
    CAPTION = """
    What single latents do. Above: accuracy on test questions after latent k was replaced, by the mean over questions,
    another question's vector, that of a question whose intermediate values all differ, zeros, or noise of equal norm;
    after all latents from k on were removed; or after some were added, up to k. The line is the accuracy without
    intervention. Below: the share of answers after an exchange that follow from the value that the *other* question
    reached in a step. Bars are intervals over questions and, of several seeds, other seeds. A latent whose exchange
    changes nothing is inert: these questions' answers do not depend on which vector it holds.
    """
    settings: EffectsSettings

    def draw(self, data: pd.DataFrame) -> Drawn:
        """Return the figure and its points; `data` is the table `effects` of a probe."""
        from thoughtscope.figures import style

        confidence = self.settings.confidence
        effects = pd.DataFrame(effect_rows(data, confidence, resamples=self.settings.resamples)).assign(shown="effect")
        shares = pd.DataFrame(donor_rows(data, "swap", confidence)).assign(shown="follows")
        enough = min(self.settings.fewest, effects["n"].max() / 2)
        effects, shares = (
            effects[effects["n"] >= enough],
            shares[shares["donor_n"] >= enough] if len(shares) else shares,
        )
        methods = [name for name in self.methods if name in set(data["method"])]
        kinds = [name for name in LOOKS if name in set(effects["intervention"])]
        with style.applied():
            figure = style.new_figure(style.PAGE, 5.2)
            rows = 2 if len(shares) else 1
            grid = figure.subplots(rows, len(methods), sharey="row", sharex="col", squeeze=False)
            figure.subplots_adjust(left=0.075, right=0.99, top=0.92, bottom=0.27, hspace=0.14, wspace=0.08)
            for column, method in enumerate(methods):
                _effects(grid[0, column], effects[effects["method"] == method], kinds)
                grid[0, column].set_title(style.readable(self.methods[method]), fontsize=style.NORMAL + 0.5)
                if rows == 2:
                    _shares(grid[1, column], shares[shares["method"] == method], sorted(set(shares["target"])))
                grid[-1, column].set_xlabel("Latent k")
            grid[0, 0].set_ylabel("Accuracy")
            for axes in grid[0]:
                axes.set_ylim(-0.03, 1.05)
            if rows == 2:
                grid[1, 0].set_ylabel("Share of answers")
                grid[1, 0].set_ylim(0, 1.04)
            _legends(figure, grid[:, 0], kinds, effects, self.settings, self.title)
        return figure, pd.concat([effects, shares], ignore_index=True)


def _effects(axes: Any, rows: pd.DataFrame, kinds: list[str]) -> None:
    from thoughtscope.figures import style

    before = rows[rows["intervention"] != "add"].drop_duplicates("latent_index")["accuracy_before"].mean()
    axes.axhline(before, color=style.INK, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
    steps = sorted(rows["latent_index"].unique())
    for step in steps[::2]:
        axes.axvspan(step - 0.5, step + 0.5, color="#f5f5f5", zorder=0, linewidth=0)
    offsets = np.linspace(-0.36, 0.36, len(kinds))
    for kind, offset in zip(kinds, offsets, strict=True):
        part, (colour, marker) = rows[rows["intervention"] == kind], LOOKS[kind]
        low = part["accuracy_before"] + part["change_low"] - part["accuracy"]
        high = part["accuracy_before"] + part["change_high"] - part["accuracy"]
        reach = [np.maximum(-low, 0), np.maximum(high, 0)]
        axes.errorbar(
            part["latent_index"] + offset, part["accuracy"], yerr=reach, fmt=marker, color=colour, markersize=3.2,
            elinewidth=0.7, label=NAMES.get(kind, kind), zorder=3,
        )  # fmt: skip
    axes.set_xticks(steps)
    axes.set_xlim(min(steps) - 0.55, max(steps) + 0.55)
    axes.tick_params(axis="x", length=0)


def _shares(axes: Any, rows: pd.DataFrame, targets: list[int]) -> None:
    width = 0.8 / max(1, len(targets))
    for place, target in enumerate(targets):
        part = rows[rows["target"] == target]
        at = part["latent_index"] + (place - (len(targets) - 1) / 2) * width
        reach = [part["donor_share"] - part["donor_low"], part["donor_high"] - part["donor_share"]]
        name = f"value of step {target}" if target else "answer"
        axes.bar(at, part["donor_share"], width * 0.92, color=TARGETS[place % len(TARGETS)], label=name)
        axes.errorbar(at, part["donor_share"], yerr=np.maximum(reach, 0), fmt="none", ecolor="#444444", elinewidth=0.6)


def _legends(
    figure: Any, first: Any, kinds: list[str], effects: pd.DataFrame, settings: EffectsSettings, title: str | None
) -> None:
    from thoughtscope.figures import style

    for axes, place, columns, heading in (
        (first[0], 0.105, 4, "Accuracy after latent k is replaced by, or latents are"),
        (first[-1], 0.048, 6, "Answers after an exchange follow the other question's"),
    )[: len(first)]:
        handles, names = axes.get_legend_handles_labels()
        figure.legend(
            handles, names, loc="lower center", bbox_to_anchor=(0.5, place), ncols=columns, frameon=False,
            title=heading, title_fontsize=style.SMALL, fontsize=style.SMALL, handlelength=1.2, labelspacing=0.2,
        )  # fmt: skip
    low, high = int(effects["seeds"].min()), int(effects["seeds"].max())
    seeds = f"{low} to {high} seeds" if low < high else f"{high} seed" + "s" * (high > 1)
    bars = f"bars: {settings.confidence:.0%} intervals; line: no intervention"
    note = f"{seeds}, {int(effects['n'].max())} questions; {bars}"
    figure.text(0.5, 0.012, note, ha="center", va="bottom", fontsize=style.SMALL)
    if title:
        figure.suptitle(title, fontsize=style.NORMAL + 1, y=0.99)
