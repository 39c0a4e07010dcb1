"""Which vector is fed at a latent: the settings. What they compute is in `latents.fill`. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from thoughtscope.settings import Positive, PositiveFloat, Probability, Strict


class FillSettings(Strict):
    """Which vector is fed at a latent."""

    kind: Literal["pause", "hidden", "fusion"]
    layer: int | None = Field(None, description="hidden-state layer (0 = embeddings); null: the last, after the norm")
    alpha: Probability = Field(0.6, description="fusion: weight of the hidden state")
    top_p: Probability = Field(0.9, description="fusion: nucleus of the prediction")
    temperature: PositiveFloat = Field(1.0, description="fusion: of the prediction")
    keep_crossing: bool = Field(False, description="fusion: keep the token that crosses top_p; else drop it, never all")
    sweeps: Positive | None = Field(
        None, description="compute all latents of a response in this many parallel (Jacobi) sweeps; null: one by one"
    )
    adapter: Positive | None = Field(None, description="fusion: inner width of an adapter on the mix; null: none")

    @property
    def sequential(self) -> bool:
        """Whether a latent needs what the model made of the position before it."""
        return self.kind != "pause"
