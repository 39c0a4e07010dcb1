"""The five lines that a finished run of the workflow ends with: its main numbers, and where to look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from thoughtscope.evaluation.effects import MOST_LOST


def closing(results: Path) -> list[str]:
    """Return the lines; what a study does not have is left out."""
    pages = [f"look at  {results}/report.html   every figure and table, with captions"]
    if (results / "explore.html").is_file():
        pages.append(f"         {results}/explore.html  latents, effects, curves and surfaces to turn and hover over")
    return [*_accuracy(results / "tables/summary.csv"), *_latents(results / "tables"), *pages]


def _accuracy(table: Path) -> Iterator[str]:
    if not table.is_file():
        return
    rows = pd.read_csv(table)
    means = rows.groupby("label")["accuracy"].mean().sort_values(ascending=False)
    named = ", ".join(f"{name} {value:.2f}" for name, value in means.items())
    yield f"accuracy {named} ({len(rows)} runs, test questions, mean over backbones and seeds)"


def _latents(tables: Path) -> Iterator[str]:
    if (tables / "interventions.csv").is_file():
        rows = pd.read_csv(tables / "interventions.csv")
        swaps = rows[rows["intervention"] == "swap"]
        parts = []
        for label, part in swaps.groupby("label", sort=False):
            followed = part[part["donor_low"] > 0.5]["latent_index"]
            inert = part[part["change_low"] >= -MOST_LOST]["latent_index"]
            parts.append(f"{label}: answers follow {_list(followed)}, {_list(inert)} inert")
        yield f"latents  exchanged between questions, {'; '.join(parts)}"
    if (tables / "probes.csv").is_file():
        passes = pd.read_csv(tables / "probes.csv")["passes_null"].dropna().astype(bool)
        yield f"probes   {int(passes.sum())} of {len(passes)} tests pass their null (corrected for the best place)"


def _list(steps: pd.Series) -> str:
    return ", ".join(str(step) for step in sorted(set(steps))) or "none"
