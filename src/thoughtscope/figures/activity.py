"""Which scores the activity figures show: one false and one true response to one query, as grids.

Knows nothing of how grids are drawn.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import numpy as np
import pandas as pd

from thoughtscope.errors import UserError
from thoughtscope.figures.settings import Activity

POINTS = ["panel", "example_id", "label", "layer", "position", "token", "score", "passes_null"]


@dataclass(frozen=True)
class Grid:
    """The scores of one response.

    Attributes:
        layers: `[layers]`, positions: `[positions]`, tokens: text of each position.
        scores: `[layers, positions]`; passes: `[layers]`, whether the direction of that layer passes the null.
    """

    truth: bool
    question: str
    response: str
    layers: np.ndarray
    positions: np.ndarray
    tokens: list[str]
    scores: np.ndarray
    passes: np.ndarray

    @property
    def name(self) -> str:
        """Which of the two responses it is."""
        return f"{'true' if self.truth else 'false'} response"

    def title(self, width: int) -> str:
        """Return query and response, wrapped to `width` characters."""
        lines = [*textwrap.wrap(f"User: {self.question}", width), *textwrap.wrap(f"Assistant: {self.response}", width)]
        return "\n".join(lines)


def grids(rows: pd.DataFrame, statements: pd.DataFrame, options: Activity) -> tuple[list[Grid], pd.DataFrame]:
    """Return the false response's grid, then the true one's, and the points they hold (columns `POINTS`).

    Args:
        rows: `tables.ACTIVITY`.
        statements: `tables.STATEMENTS`, at least of the displayed examples.

    Raises:
        UserError: no scores of that direction, or no query with a false and a true response.
    """
    rows = rows[rows["direction"] == options.direction]
    if rows.empty:
        raise UserError(
            "figure: direction", f"no scores along {options.direction!r}", "name a direction that is probed"
        )
    shown = statements[statements["example_id"].isin(rows["example_id"]) & statements["label"].notna()]
    pair = _pair(shown, options.question)
    parts, found = [], []
    for truth, example in enumerate(pair):
        part = rows[rows["example_id"] == example["example_id"]].sort_values(["layer", "position"])
        scores = part.pivot(index="layer", columns="position", values="score")
        found.append(
            Grid(
                truth=bool(truth),
                question=str(example["question"]),
                response=str(example["response"]),
                layers=scores.index.to_numpy(),
                positions=scores.columns.to_numpy(),
                tokens=part.drop_duplicates("position").sort_values("position")["token"].tolist(),
                scores=scores.to_numpy(),
                passes=part.drop_duplicates("layer").sort_values("layer")["passes_null"].to_numpy(dtype=bool),
            )
        )
        parts.append(part.assign(panel="true" if truth else "false"))
    return found, pd.concat(parts, ignore_index=True)[POINTS]


def _pair(shown: pd.DataFrame, question: str | None) -> tuple[pd.Series, pd.Series]:
    for query, group in shown.groupby("question", sort=False):
        false, true = group[group["label"] == 0], group[group["label"] == 1]
        if len(false) and len(true) and question in (None, query):
            return false.iloc[0], true.iloc[0]
    wanted = "no query" if question is None else f"{question!r}"
    raise UserError(
        "figure: question", f"{wanted} has a false and a true response with scores", "name another or leave it out"
    )


def bound(found: list[Grid]) -> float:
    """Return the largest distance from 0, so that colours and heights are symmetric and common to both panels."""
    return float(max(np.abs(grid.scores).max() for grid in found)) or 1.0
