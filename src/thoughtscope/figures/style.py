"""The style of all figures: sizes, fonts, colours of scores, markers.

Figures use matplotlib's object interface (no pyplot, no display). All drawing is inside `applied()`, so that a user's
matplotlib settings do not change a figure.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.ticker import MaxNLocator

from thoughtscope.settings import Look

COLUMN, PAGE = 3.5, 7.0  # inches: the width of one column and of a page of two
SMALL, NORMAL, LINE = 6.5, 8.0, 1.3  # points: two sizes of text, and the width of lines

MUTED = "#c9c9c9"  # for values without evidence
INK = "#333333"
SCORE_MAP = "RdYlGn_r"  # green low, yellow 0, red high
DIVERGING_MAP = "RdBu_r"  # the same order, for readers who cannot distinguish green from red

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
    "lines.linewidth": LINE,
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


def marker(look: Look) -> dict[str, Any]:
    """Return matplotlib's arguments for the marker of a look."""
    edge = {} if look.filled else {"markerfacecolor": "white", "markeredgewidth": 0.8}
    return {"color": look.colour, "marker": look.marker, "markeredgewidth": 0, **edge}


def dash(look: Look) -> Any:
    """Return matplotlib's line style for the dash of a look."""
    return (0, tuple(look.dash)) if look.dash else "-"


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    """Return the code points that the font of the figures has."""
    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def readable(text: str) -> str:
    """Return a text with characters that the font lacks replaced by their code points: ``[U+4F60 U+597D]``.

    matplotlib would draw boxes. Fonts of the machine are not used, so that figures are the same everywhere.
    """
    parts = []
    for lacking, run in itertools.groupby(text, lambda one: one != "\n" and ord(one) not in _glyphs()):
        piece = "".join(run)
        parts.append(f"[{' '.join(f'U+{ord(one):04X}' for one in piece)}]" if lacking else piece)
    return "".join(parts)


@contextmanager
def applied() -> Iterator[None]:
    """Apply matplotlib's defaults and the settings of this module; draw and save figures inside this context."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure with an Agg canvas; sizes are in inches."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def ticks(most: int, integer: bool = False) -> MaxNLocator:
    """Return a locator of at most `most` intervals with round ends, which are integers if `integer`."""
    return MaxNLocator(most, steps=[1, 2, 5, 10] if integer else [1, 2, 2.5, 5, 10], integer=integer)
