"""What happens to the answer when one latent is replaced, removed or added: which latents a model uses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field

from thoughtscope.probes.base import Probe, Rows
from thoughtscope.settings import Count, Positive, Strict

EFFECTS = "effects"
Intervention = Literal["zeros", "noise", "mean", "other", "swap", "remove", "add"]
ALL: list[Intervention] = ["zeros", "noise", "mean", "other", "swap", "remove", "add"]


class InterventionSettings(Strict):
    """What is changed, on which questions."""

    interventions: Annotated[list[Intervention], Field(min_length=1)] = Field(
        ALL, description="what is done to latents"
    )
    examples: Positive = Field(256, description="test questions")
    added: Positive = Field(2, description="latents that `add` adds at most")
    seed: Count = Field(0, description="of noise and of who gives a vector to whom")
    batch_size: Positive = Field(256, description="responses computed at once")
    decoding: dict[str, int] = Field({}, description="how responses are decoded; default: that of evaluation")


class Interventions(Probe):
    """One latent at a time is changed, and the question answered again from there on."""

    READS = "runs"
    Settings = InterventionSettings
    CAPTION = """
    What is answered when one latent is replaced (by zeros, noise of equal norm, the mean over questions, another
    question's vector, or in exchange with a question whose intermediate values differ), when latents are removed, and
    when some are added.
    """
    TABLES = {
        EFFECTS: [
            ("example_id", pa.string()),
            ("intervention", pa.string()),  # none | one of `Intervention`
            ("latent_index", pa.int32()),  # the changed latent; remove: the first that is gone; null: none is changed
            ("donor", pa.string()),  # the question whose vector is fed
            ("answer", pa.string()),
            ("correct", pa.bool_()),
            ("gold_logprob", pa.float64()),  # of the gold answer, in nats; null: the response gives no answer
            ("differs", pa.list_(pa.int32())),  # steps whose values differ between question and donor, from 1
            ("follows", pa.list_(pa.int32())),  # those of them whose donor's value explains the answer
        ]
    }
    settings: InterventionSettings

    def fit(self, source: Path, examples: list[dict[str, Any]]) -> Mapping[str, Rows]:
        """Return what the run's final model answers; the table `effects` has a row for each question and change."""
        from thoughtscope.interventions.effects import Effects
        from thoughtscope.interventions.trained import final_reasoner
        from thoughtscope.latents.generate import Decoding

        rows = [row for row in examples if row["split"] == "test"][: self.settings.examples]
        reasoner, settings = final_reasoner(source), self.settings
        decoding = Decoding.model_validate({**settings.decoding, "batch_size": settings.batch_size})
        effects = Effects(reasoner, rows, decoding, added=settings.added, seed=settings.seed)
        return {EFFECTS: effects.measure(settings.interventions)}
