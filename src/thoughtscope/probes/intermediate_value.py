"""Which intermediate value of a chain of steps can be read at which latent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from thoughtscope.probes.base import EVIDENCE, Probe, Rows
from thoughtscope.probes.settings import LatentSettings


class IntermediateValue(Probe):
    """Linear probes of the value of each step at each latent, cross-validated over questions."""

    READS = "latents"
    Settings = LatentSettings
    CAPTION = """
    Which intermediate value can be read at each latent, by accuracy on held-out questions, against values exchanged
    between questions.
    """
    TABLES = {
        EVIDENCE: [
            ("checkpoint_step", pa.int32()),
            ("kind", pa.string()),  # input | output
            ("layer", pa.int32()),
            ("latent_index", pa.int32()),
            ("target", pa.int32()),  # k: the k-th intermediate value, counted from 1
            ("classes", pa.int32()),
            ("null_mean", pa.float64()),  # accuracy after refits on permuted values
        ]
    }
    settings: LatentSettings

    def fit(self, source: Path, examples: list[dict[str, Any]]) -> Mapping[str, Rows]:
        """Return the evidence of each latent, layer and step; `examples` have `step_values`."""
        from thoughtscope.probes.latent import latent_rows

        values = {row["example_id"]: row["step_values"] or [] for row in examples}
        return {EVIDENCE: latent_rows(source, values, self.settings)}
