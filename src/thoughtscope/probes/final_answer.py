"""Whether the final answer can be read at a latent, before the response says it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from thoughtscope.probes.base import EVIDENCE, Probe, Rows
from thoughtscope.probes.settings import LatentSettings


class FinalAnswer(Probe):
    """Linear probes of the right answer at each latent, by cross-validation over questions."""

    READS = "latents"
    Settings = LatentSettings
    CAPTION = """
    Whether the right final answer can be read at each latent, by accuracy on held-out questions, against answers
    exchanged between questions.
    """
    TABLES = {
        EVIDENCE: [
            ("checkpoint_step", pa.int32()),
            ("kind", pa.string()),  # input | output
            ("layer", pa.int32()),
            ("latent_index", pa.int32()),
            ("classes", pa.int32()),  # distinct answers
            ("null_mean", pa.float64()),  # accuracy after refits on permuted answers
        ]
    }
    settings: LatentSettings

    def fit(self, source: Path, examples: list[dict[str, Any]]) -> Mapping[str, Rows]:
        """Return the evidence of each latent and layer, with the same null as `intermediate_value`."""
        from thoughtscope.probes.latent import latent_rows

        found = latent_rows(source, {row["example_id"]: [row["answer"]] for row in examples}, self.settings)
        return {EVIDENCE: ({name: value for name, value in row.items() if name != "target"} for row in found)}
