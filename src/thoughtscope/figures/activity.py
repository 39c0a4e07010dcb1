"""Selects the scores of activity figures: grids of one false and one true response to one query."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from thoughtscope.errors import UserError
from thoughtscope.figures.base import Figure, frame
from thoughtscope.settings import Strict

POINTS = [
    *("panel", "example_id", "label", "layer", "position", "distance", "token", "score"),
    *("n", "auroc", "accuracy", "p", "p_corrected", "evidence"),
]
READ = ["direction", "fitted_on", "attribute", "question", "response", *POINTS[1:]]
MEANING = {
    "tokens": "0: midway between true and false predicate tokens at the same distance from the end; above 0: true",
    "last": "0: midway between the last tokens of true and false statements, calibrated there only; above 0: true",
}
READABLE, UNREADABLE = (
    "grey: held-out statements are not told apart by truth there",
    "no cell tells true from false held-out statements: the scores show nothing",
)


class ActivitySettings(Strict):
    """Settings of the activity figures."""

    direction: Literal["difference-of-means", "whitened-difference"] = Field(
        "whitened-difference", description="the direction whose scores are drawn"
    )
    fitted_on: Literal["tokens", "last"] = Field(
        "tokens",
        description="direction fitted on all predicate tokens, or on last tokens, which colours only the last token",
    )
    question: str | None = Field(
        None, description="the displayed query; null: the first with a false and a true answer"
    )
    attribute: str | None = Field(
        None, description="draw answers with this attribute (task `facts`: profile or origin); null: the first ones"
    )


class ActivityFigure(Figure):
    """The scores of a false and a true response to one query; subclasses draw them."""

    READS = "probes"
    PROBE_TABLE = "activity"
    Settings = ActivitySettings
    settings: ActivitySettings

    def read(self, folders: Sequence[Path]) -> pd.DataFrame:
        """Return the scores of every displayed token."""
        return frame([folder / f"tables/{self.PROBE_TABLE}.parquet" for folder in folders], READ)

    @classmethod
    def check(cls, settings: ActivitySettings, statements: Iterable[Mapping[str, Any]]) -> None:
        """Refuse a question or an attribute that no displayed pair of statements has."""
        shown = [one for one in statements if one["split"] == "display" and one["label"] is not None]
        _pair(pd.DataFrame(shown, columns=["attribute", "question", "label"]), settings)


@dataclass(frozen=True)
class Grid:
    """The scores of one response.

    Attributes:
        layers: ``[layers]``.
        positions: ``[positions]``, of the tokens in the response.
        tokens: ``[positions]``, their texts.
        scores: ``[layers, positions]``.
        readable: ``[layers, positions]``, whether there is evidence for the cell; see `probes.activity`.
    """

    truth: bool
    question: str
    response: str
    layers: np.ndarray
    positions: np.ndarray
    tokens: list[str]
    scores: np.ndarray
    readable: np.ndarray

    @property
    def name(self) -> str:
        """Which of the two responses it is."""
        return f"{'true' if self.truth else 'false'} response"

    def title(self, width: int) -> str:
        """Return query and response, wrapped to `width` characters and truncated."""
        from thoughtscope.figures import style

        spoken = ((f"User: {self.question}", 2), (f"Assistant: {self.response}", 3))
        lines = (
            textwrap.wrap(style.readable(text), width, max_lines=most, placeholder=" ...") for text, most in spoken
        )
        return "\n".join(itertools.chain(*lines))


def grids(rows: pd.DataFrame, options: ActivitySettings) -> tuple[list[Grid], pd.DataFrame]:
    """Return the false response's grid, then the true one's, and the points they hold (columns `POINTS`).

    Args:
        rows: columns `READ`.

    Raises:
        UserError: there are no scores of that direction, a cell is missing, or no query has a false and a true
            response.
    """
    rows = rows[(rows["direction"] == options.direction) & (rows["fitted_on"] == options.fitted_on)]
    if rows.empty:
        problem = f"no scores along {options.direction!r} fitted on {options.fitted_on}"
        raise UserError("figure: direction", problem, "fit the probe again")
    shown = rows.drop_duplicates("example_id")
    found, parts = [], []
    for truth, example in enumerate(_pair(shown, options)):
        part = rows[rows["example_id"] == example["example_id"]].sort_values(["layer", "position"])
        found.append(_grid(part, example, bool(truth)))
        parts.append(part.assign(panel="true" if truth else "false"))
    return found, pd.concat(parts, ignore_index=True)[POINTS]


def _grid(part: pd.DataFrame, example: pd.Series, truth: bool) -> Grid:
    scores, evidence = (part.pivot(index="layer", columns="position", values=name) for name in ("score", "evidence"))
    if scores.isna().to_numpy().any():
        raise UserError("figure", f"cells of {example['example_id']} are missing", "fit the probe again")
    return Grid(
        truth=truth,
        question=str(example["question"]),
        response=str(example["response"]),
        layers=scores.index.to_numpy(),
        positions=scores.columns.to_numpy(),
        tokens=part.drop_duplicates("position").sort_values("position")["token"].tolist(),
        scores=scores.to_numpy(),
        readable=(evidence == "yes").to_numpy(),
    )


def _pair(shown: pd.DataFrame, options: ActivitySettings) -> tuple[pd.Series, pd.Series]:
    """Return the first false and the first true response to one query, with the attribute of `options` if set."""
    if options.attribute is not None:
        shown = shown[shown["attribute"] == options.attribute]
    for query, group in shown.groupby("question", sort=False):
        false, true = group[group["label"] == 0], group[group["label"] == 1]
        if len(false) and len(true) and options.question in (None, query):
            return false.iloc[0], true.iloc[0]
    form = "" if options.attribute is None else f" of attribute {options.attribute!r}"
    wanted = "no query has both" if options.question is None else f"{options.question!r} does not have both"
    raise UserError(
        "figure: question, attribute",
        f"{wanted} a false and a true response{form}",
        "name others or leave them out",
    )


def bound(found: list[Grid]) -> float:
    """Return the largest absolute score of the cells with evidence, or of all cells if none has any."""
    coloured = [np.abs(grid.scores[grid.readable]) for grid in found]
    every = [np.abs(grid.scores).ravel() for grid in found]
    return float(np.concatenate(coloured if any(map(len, coloured)) else every).max()) or 1.0


def foot(found: list[Grid], options: ActivitySettings, title: str | None) -> str:
    """Return the note below the figure, which explains the colours."""
    evidence = READABLE if any(grid.readable.any() for grid in found) else UNREADABLE
    lines = [f"{MEANING[options.fitted_on]}", f"{evidence}; direction: {options.direction}"]
    return "\n".join(lines if title is None else [title, *lines])
