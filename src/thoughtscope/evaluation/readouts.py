"""How often the token nearest to a latent is the value of a step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from thoughtscope.statistics import wilson_interval

PLACE = ["readout", "layer", "latent_index"]


def readout_rows(readouts: pd.DataFrame, confidence: float) -> Iterator[dict[str, Any]]:
    """Yield a row for each readout, layer and latent of one run.

    Args:
        readouts: rows of the probe table `readouts`.
    """
    for place, part in readouts[readouts["rank"] == 1].groupby(PLACE, dropna=False, sort=True):
        tokens = part["token"].str.strip()
        common = tokens.value_counts()
        said = {"n": len(part), "token": common.index[0], "token_share": common.iloc[0] / len(part)}
        about = dict(zip(PLACE, place, strict=True)) | said | {"score": float(part["score"].mean())}
        yield about | _value(tokens, part["step_values"], confidence)


def _value(tokens: pd.Series, values: pd.Series, confidence: float) -> dict[str, Any]:
    """Return the step whose value the nearest token is most often, and how often."""
    found: list[dict[str, Any]] = []
    for target in range(1, max(map(len, values), default=0) + 1):
        has = values.map(len) >= target
        own, said = values[has].map(lambda one: one[target - 1]), tokens[has]  # noqa: B023
        shares = [column.value_counts(normalize=True) for column in (own, said)]
        right = int((own == said).sum())
        low, high = wilson_interval(right, int(has.sum()), confidence)
        exchanged = float(np.sum(shares[0].mul(shares[1], fill_value=0)))
        row = {"target": target, "value_share": right / int(has.sum()), "value_low": low, "value_high": high}
        found.append(row | {"exchanged_share": exchanged})
    return max(found, key=lambda one: one["value_share"], default={})
