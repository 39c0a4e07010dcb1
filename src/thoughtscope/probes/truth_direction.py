"""Directions that separate true from false statements, for each layer, and the scores of every token along them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from thoughtscope.probes.base import EVIDENCE, Probe, Rows
from thoughtscope.probes.settings import TruthSettings


class TruthDirection(Probe):
    """Directions that separate true from false statements, for each layer, split by subject."""

    READS = "statements"
    Settings = TruthSettings
    CAPTION = """
    How well directions tell true from false statements, by AUROC on held-out subjects, beside surprisal and text alone.
    """
    TABLES = {
        EVIDENCE: [
            ("direction", pa.string()),  # one of probes.directions, surprisal-only or text-only; null in some notes
            ("layer", pa.int32()),  # null where no layer is read
            ("unit", pa.string()),  # statement | token: what is scored
            ("subset", pa.string()),  # all | negated | length-matched | unseen | guessed | surprisal-out
            ("p_refit", pa.float64()),  # against directions fitted to permuted labels of the training statements
        ],
        "activity": [
            ("direction", pa.string()),
            ("fitted_on", pa.string()),  # tokens | last: the tokens that the direction was fitted on
            ("example_id", pa.string()),
            ("attribute", pa.string()),
            ("question", pa.string()),
            ("response", pa.string()),
            ("label", pa.int8()),
            ("layer", pa.int32()),
            ("position", pa.int32()),  # of the token in the response, counted from 0
            ("distance", pa.int32()),  # from the end of the response; 0 is the last token
            ("token", pa.string()),
            ("score", pa.float64()),
            # held-out statements with a token at this layer and distance; empty if there are too few
            ("n", pa.int32()),
            ("auroc", pa.float64()),
            ("accuracy", pa.float64()),  # share with the right sign, averaged over true and false
            ("p", pa.float64()),
            ("p_corrected", pa.float64()),  # corrected for the largest of all cells and directions
            ("evidence", pa.string()),  # yes | no | untested | shared, see probes.activity
        ],
        "trends": [
            ("direction", pa.string()),
            ("fitted_on", pa.string()),
            ("example_id", pa.string()),  # a test statement
            ("subject", pa.string()),
            ("label", pa.int8()),
            ("over", pa.string()),  # layers | tokens
            ("slope", pa.float64()),  # of the score, over the cells with evidence
        ],
    }
    settings: TruthSettings

    def fit(self, source: Path, examples: list[dict[str, Any]]) -> Mapping[str, Rows]:
        """Return the tables `evidence`, `activity` and `trends`. Each layer of the states is read once.

        Raises:
            UserError: a split lacks true or false statements, or states are missing.
        """
        from thoughtscope.hidden_states.read import describe_states
        from thoughtscope.probes.activity import activity_rows, trend_rows
        from thoughtscope.probes.statements import Statements
        from thoughtscope.probes.tokens import TokenProbe
        from thoughtscope.probes.truth import TruthProbe

        statements = Statements.of(examples, source)
        truth = TruthProbe(statements, self.settings)
        tokens, last = (TokenProbe(statements, self.settings, fitted_on) for fitted_on in ("tokens", "last"))
        for layer in describe_states(source)["layers"]:
            vectors = statements.vectors(layer)
            for probe in (truth, tokens, last):
                probe.add(layer, vectors)
        return {
            EVIDENCE: _evidence(chain(truth.rows(), tokens.rows())),
            "activity": chain.from_iterable(activity_rows(statements, probe) for probe in (tokens, last)),
            "trends": chain.from_iterable(trend_rows(statements, probe) for probe in (tokens, last)),
        }


def _evidence(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        yield {
            **{name: value for name, value in row.items() if name != "auroc"},
            "measure": "auroc",
            "value": row["auroc"],
        }
