"""Fits every direction of truth of a backbone, reading each layer of its states once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from thoughtscope.probes.activity import activity_rows, trend_rows
from thoughtscope.probes.settings import TruthSettings
from thoughtscope.probes.statements import Statements
from thoughtscope.probes.tokens import TokenProbe
from thoughtscope.probes.truth import TruthProbe

Row = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """The rows of `schemas.TRUTH_PROBES`, `tables.ACTIVITY` and `tables.TRENDS`, without the run's columns."""

    truth: list[Row]
    activity: list[Row]
    trends: list[Row]


def fit_truth(statements: Statements, layers: Sequence[int], settings: TruthSettings) -> Found:
    """Fit directions on the states of these layers.

    Raises:
        UserError: a split has statements of one truth only, or states are missing.
    """
    truth = TruthProbe(statements, settings)
    tokens, last = (TokenProbe(statements, settings, fitted_on) for fitted_on in ("tokens", "last"))
    for layer in layers:
        vectors = statements.vectors(layer)
        for probe in (truth, tokens, last):
            probe.add(layer, vectors)
    return Found(
        truth=[*truth.rows(), *tokens.rows()],
        activity=list(chain.from_iterable(activity_rows(statements, probe) for probe in (tokens, last))),
        trends=list(chain.from_iterable(trend_rows(statements, probe) for probe in (tokens, last))),
    )
