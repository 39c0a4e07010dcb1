"""How every figure looks: colours with a second cue, sizes, fonts. Knows nothing about what is drawn.

Figures are made through matplotlib's object interface (no pyplot, no display). Every drawing happens
inside `applied()`, so that nobody's own matplotlib settings change a figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

COLUMN, PAGE = 3.5, 7.0  # inches: the width of one column and of a page of two
SMALL, NORMAL = 6.5, 8.0  # points

COLOURS = {
    "red": "#d62728",
    "blue": "#1f5fc4",
    "green": "#2a9d3f",
    "orange": "#ff7f0e",
    "pink": "#f06eb8",
    "purple": "#8245b5",
    "cyan": "#17becf",
    "gray": "#7f7f7f",
}
MUTED = "#c9c9c9"  # what is shown but not claimed
INK = "#333333"
SCORE_MAP = "RdYlGn_r"  # green low, yellow 0, red high
DIVERGING_MAP = "RdBu_r"  # the same direction, for readers who cannot tell green from red

_RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": NORMAL,
    "axes.titlesize": NORMAL,
    "axes.labelsize": NORMAL,
    "xtick.labelsize": SMALL + 0.5,
    "ytick.labelsize": SMALL + 0.5,
    "legend.fontsize": SMALL + 0.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.3,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.5,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "#dddddd",
    "legend.fancybox": False,
    "savefig.dpi": 300,
    "figure.dpi": 100,
    "text.parse_math": False,
    "svg.hashsalt": "thoughtscope",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}


@dataclass(frozen=True)
class Look:
    """How one series is told from the others: a colour, and a marker or a dash for those who do not see it."""

    colour: str
    marker: str
    dash: Any = "-"


METHODS = {
    "lt-tuning": Look(COLOURS["red"], "o"),
    "lt-tuning-without-stage-3": Look(COLOURS["blue"], "^"),
    "coconut": Look(COLOURS["green"], "s"),
}
BACKBONES = {
    "qwen3": Look(COLOURS["blue"], "s", (0, (5, 1.2))),
    "llama3.2": Look(COLOURS["green"], "^", (0, (3, 1, 1, 1))),
    "mistral": Look(COLOURS["pink"], "v", (0, (1, 1))),
    "smollm3": Look(COLOURS["purple"], "D", (0, (6, 1, 1, 1, 1, 1))),
    "gemma3": Look(COLOURS["cyan"], "P", (0, (2, 1))),
    "qwen2.5": Look(COLOURS["gray"], "X", (0, (8, 1.5))),
}
LIVE = {"qwen3": Look(COLOURS["orange"], "o")}
_OTHERS = [
    Look("#8c564b", "h", (0, (4, 1, 2, 1))),
    Look("#bcbd22", "<", (0, (1, 2))),
    Look("#1b1b1b", ">", (0, (7, 1, 1, 1))),
    Look("#aa3377", "p", (0, (2, 2))),
    Look("#6a8d73", "d", (0, (10, 2))),
    Look("#b8860b", "*", (0, (3, 3))),
]


def looks(names: Iterable[str], known: Mapping[str, Look]) -> dict[str, Look]:
    """Give every name its look: its own where `known` has one, else one that no known name uses, in turn."""
    found: dict[str, Look] = {}
    strangers = 0
    for name in names:
        if name in known:
            found[name] = known[name]
        else:
            found[name] = _OTHERS[strangers % len(_OTHERS)]
            strangers += 1
    return found


def in_order(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return the names in the order of `known`, then the rest in the alphabet's."""
    first, there = list(known), set(names)
    return [name for name in first if name in there] + sorted(there - set(first))


@contextmanager
def applied() -> Iterator[None]:
    """Draw and save inside this: matplotlib's defaults with this module's settings on top."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of that size in inches, with an Agg canvas."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def ticks(most: int, integer: bool = False) -> MaxNLocator:
    """Return a locator of at most `most` round intervals, at whole numbers only where `integer`."""
    return MaxNLocator(most, steps=[1, 2, 5, 10] if integer else [1, 2, 2.5, 5, 10], integer=integer)
