"""Which tokens each latent is nearest to: what it would say in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from thoughtscope.probes.base import Probe, Rows
from thoughtscope.settings import Count, Positive, Strict

READOUTS = "readouts"


class ReadoutSettings(Strict):
    """Which latents are read, and how."""

    examples: Positive = Field(256, description="test questions")
    layers: Literal["last", "all"] | list[Count] = Field(
        "all", description="hidden-state layers that the output head reads, 0 = embeddings; inner ones pass the norm"
    )
    top: Positive = Field(5, description="tokens listed for each latent and layer")
    batch_size: Positive = Field(256, description="responses computed at once")
    decoding: dict[str, int] = Field({}, description="how responses are decoded; default: that of evaluation")


class Readouts(Probe):
    """The nearest tokens of each latent, by output head and by embedding."""

    READS = "runs"
    Settings = ReadoutSettings
    CAPTION = "The tokens that each latent is nearest to, by the output head at each layer, and by embedding."
    TABLES = {
        READOUTS: [
            ("example_id", pa.string()),
            ("question", pa.string()),
            ("step_values", pa.list_(pa.string())),
            ("latent_index", pa.int32()),
            ("readout", pa.string()),  # head: of the state at the latent | embedding: of the vector fed there
            ("layer", pa.int32()),  # of head
            ("rank", pa.int32()),  # from 1
            ("token", pa.string()),
            ("score", pa.float64()),  # head: probability | embedding: cosine
        ]
    }
    settings: ReadoutSettings

    def fit(self, source: Path, examples: list[dict[str, Any]]) -> Mapping[str, Rows]:
        """Return the nearest tokens at each latent of the run's final model."""
        from thoughtscope.interventions.readouts import readouts
        from thoughtscope.interventions.trained import final_reasoner
        from thoughtscope.latents.generate import Decoding

        rows = [row for row in examples if row["split"] == "test"][: self.settings.examples]
        reasoner, settings = final_reasoner(source), self.settings
        depth = reasoner.model.config.get_text_config().num_hidden_layers
        layers = {"last": [depth], "all": range(depth + 1)}.get(str(settings.layers), settings.layers)
        decoding = Decoding.model_validate({**settings.decoding, "batch_size": settings.batch_size})
        return {READOUTS: readouts(reasoner, rows, decoding, [int(one) for one in layers], settings.top)}
