"""Writes a figure as PNG, PDF, SVG and CSV of its points, with the same bytes each time it is drawn.

The pictures contain their provenance, without times, which would make equal figures differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from thoughtscope.errors import UserError
from thoughtscope.figures.style import applied

SUFFIXES = (".png", ".pdf", ".svg", ".csv")
_CHANGING = {"started", "finished", "hardware", "threads"}


def save(figure: Figure, points: pd.DataFrame, targets: Iterable[Path], provenance: dict[str, Any]) -> None:
    """Write the figure to each target in the format of its suffix; `.csv` has `points`.

    The provenance, as JSON and without times and hardware, is in the PNG's text chunk `Description`,
    the PDF's `Subject` and the SVG's `Description`. SVG and PDF have no dates, and fixed ids.

    Raises:
        UserError: a suffix other than `SUFFIXES`.
    """
    told = {key: value for key, value in provenance.items() if key not in _CHANGING}
    text = json.dumps(told, sort_keys=True, ensure_ascii=True)
    metadata: dict[str, dict[str, str | None]] = {
        ".png": {"Description": text, "Software": "thoughtscope"},
        ".pdf": {"Subject": text, "Creator": "thoughtscope", "CreationDate": None},
        ".svg": {"Description": text, "Creator": "thoughtscope", "Date": None},
    }
    for target in targets:
        if target.suffix not in SUFFIXES:
            raise UserError(str(target), f"no figure is written as {target.suffix}", f"use {', '.join(SUFFIXES)}")
        if target.suffix == ".csv":
            points.to_csv(target, index=False, float_format="%.6g")
        else:
            with applied():
                figure.savefig(target, metadata=metadata[target.suffix])
