"""Activity scores: how far each token of the displayed responses goes along a direction of truth.

    score = (h - centre) . w / spread

`centre` lies midway between the class means of the training statements, `spread` is the standard deviation of
the projection over all tokens of the calibration split; nothing is standardised on the displayed responses.
Positive is the side of true statements.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from thoughtscope.probes.directions import DIRECTIONS
from thoughtscope.probes.statements import Statements
from thoughtscope.probes.truth import TruthSettings


def activity_rows(
    statements: Statements, layers: Sequence[int], settings: TruthSettings, truth: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of `tables.ACTIVITY`, without the run's columns.

    Args:
        truth: what `truth_rows` gave: whether a layer's direction passes the null.
    """
    passes = {(row["direction"], row["layer"]): row["passes_null"] for row in truth if row["subset"] == "all"}
    train, displayed = statements.where("train", negated=False), statements.where("display")
    labels = statements.labels(train)
    for layer in layers:
        stored = statements.layer(layer)
        vectors = stored.of(train, settings.tokens)
        centre = (vectors[labels == 1].mean(0) + vectors[labels == 0].mean(0)) / 2
        calibration = stored.vectors[np.isin(stored.codes, statements.where("calibration"))]
        for name, fit in DIRECTIONS.items():
            axis = fit(vectors, labels)
            spread = float((calibration @ axis).std())
            along = (stored.vectors - centre) @ axis
            scores = along / spread if spread > 0 else np.zeros_like(along)  # the last token alone may never vary
            for i in np.flatnonzero(np.isin(stored.codes, displayed)):
                row = statements.rows.iloc[stored.codes[i]]
                yield {
                    "direction": name,
                    "example_id": row["example_id"],
                    "label": int(row["label"]),
                    "layer": layer,
                    "position": int(stored.positions[i]),
                    "token": stored.tokens[i],
                    "score": float(scores[i]),
                    "passes_null": bool(passes[name, layer]),
                }
