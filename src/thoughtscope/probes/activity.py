"""Activity scores: how far each token of the displayed responses lies along a direction of truth.

    score = (h - centre) . w / spread

`w` is a direction fitted on tokens of the training statements (`tokens.TokenProbe`), `centre` is midway between the
class means of their tokens at the same distance from the end, and `spread` is the standard deviation of the projection
over all tokens of the calibration split. The displayed responses are used for none of them. Positive scores are on the
side of true statements. The evidence for a cell, from held-out statements, is one of:

    yes        the scores of their tokens at this layer and distance from the end separate true from false ones
    no         they do not
    untested   too few statements have a token there
    shared     up to this token, the displayed response with the other truth value is identical
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from thoughtscope.probes.directions import LINEAR
from thoughtscope.probes.pairing import undecided
from thoughtscope.probes.statements import Statements
from thoughtscope.probes.tokens import Evidence, TokenProbe


def activity_rows(statements: Statements, probe: TokenProbe) -> Iterator[dict[str, Any]]:
    """Yield the rows of the table `activity` of `truth_direction`: every cell of every displayed response."""
    index, evidence = statements.index, probe.evidence
    display = statements.where("display")
    shared = np.zeros(len(statements.rows), dtype=np.int64)
    shared[display] = undecided([index.texts_of(row) for row in display], statements.rows.iloc[display])
    about = statements.rows[["example_id", "attribute", "question", "response", "label"]].to_dict("records")
    for layer, scores in probe.displayed.items():
        for token, values in zip(probe.scored, scores, strict=True):
            statement, distance = index.statements[token], int(index.distances[token])
            for name, score in zip(LINEAR, values, strict=True):
                cell = evidence.get((layer, distance, name))
                yield {
                    "direction": name,
                    "fitted_on": probe.fitted_on,
                    **about[statement],
                    "label": int(about[statement]["label"]),
                    "layer": layer,
                    "position": int(index.positions[token]),
                    "distance": distance,
                    "token": index.texts[token],
                    "score": float(score),
                    **_measured(cell, bool(index.positions[token] < shared[statement])),
                }


def _measured(cell: Evidence | None, shared: bool) -> dict[str, Any]:
    columns = ("n", "auroc", "accuracy", "p", "p_corrected")
    verdict = "shared" if shared else "untested" if cell is None else "yes" if cell.passes else "no"
    return {**{name: cell and getattr(cell, name) for name in columns}, "evidence": verdict}


def trend_rows(statements: Statements, probe: TokenProbe) -> Iterator[dict[str, Any]]:
    """Yield the rows of the table `trends` of `truth_direction`: slopes of the scores of each test statement.

    The slope over layers is that of the mean score of each layer, per layer; the slope over tokens is that of the mean
    score at each distance from the end, per token. Only cells with evidence enter the means.
    """
    evidence = probe.evidence
    about = statements.rows.iloc[probe.test.rows]
    for place, name in enumerate(LINEAR):
        passing = [
            (layer, distance) for (layer, distance, found), cell in evidence.items() if found == name and cell.passes
        ]
        parts = []
        for layer, scores in probe.tested.items():
            here = np.isin(probe.test.distances, [distance for found, distance in passing if found == layer])
            columns = {"unit": probe.test.units[here], "layer": layer, "distance": probe.test.distances[here]}
            parts.append(pd.DataFrame({**columns, "score": scores[here, place]}))
        cells = pd.concat(parts)
        for over, sign in (("layer", 1), ("distance", -1)):
            for unit, slope in slopes(cells, over).items():
                yield {
                    "direction": name,
                    "fitted_on": probe.fitted_on,
                    "example_id": about["example_id"].iloc[unit],
                    "subject": about["subject"].iloc[unit],
                    "label": int(about["label"].iloc[unit]),
                    "over": "layers" if over == "layer" else "tokens",
                    "slope": sign * float(slope),
                }


def slopes(cells: pd.DataFrame, over: str) -> dict[int, float]:
    """Return the least-squares slope of each unit's mean score over a column, if that has at least two values."""
    means = cells.groupby(["unit", over], as_index=False)["score"].mean()
    away = means[over] - means.groupby("unit")[over].transform("mean")
    sums = pd.DataFrame({"product": away * means["score"], "square": away**2}).groupby(means["unit"]).sum()
    sums = sums[sums["square"] > 0]
    return dict(zip(sums.index.tolist(), (sums["product"] / sums["square"]).tolist(), strict=True))
