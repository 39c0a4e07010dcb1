"""Which vector is fed at a latent: the settings. What they compute is in `latents.fill`. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from thoughtscope.settings import Count, Positive, PositiveFloat, Probability, Strict


class BaseFill(Strict):
    """What every fill has, as a setting of its own or as a constant.

    Attributes:
        sequential: whether a latent needs what the model computed at the position before it.
    """

    sequential: ClassVar[bool] = True


class Pause(BaseFill):
    """The latent token's own embedding: no recurrence."""

    sequential: ClassVar[bool] = False
    layer: ClassVar[None] = None
    sweeps: ClassVar[None] = None

    kind: Literal["pause"]


class Hidden(BaseFill):
    """The hidden state of the position before (Coconut, arXiv 2412.06769)."""

    kind: Literal["hidden"]
    layer: Count | None = Field(None, description="hidden-state layer (0 = embeddings); null: the last, after the norm")
    sweeps: Positive | None = Field(
        None, description="compute all latents of a response in this many parallel (Jacobi) sweeps; null: one by one"
    )


class Fusion(BaseFill):
    """The hidden state mixed with the embedding that the model expects next (LT-Tuning, arXiv 2602.10229)."""

    kind: Literal["fusion"]
    layer: Count | None = Field(None, description="hidden-state layer (0 = embeddings); null: the last, after the norm")
    alpha: Probability = Field(0.6, description="weight of the hidden state")
    top_p: Probability = Field(0.9, description="nucleus of the prediction")
    temperature: PositiveFloat = Field(1.0, description="of the prediction")
    keep_crossing: bool = Field(False, description="keep the token that crosses top_p; else drop it, never all")
    adapter: Positive | None = Field(None, description="inner width of an adapter on the mix; null: none")
    sweeps: Positive | None = Field(
        None, description="compute all latents of a response in this many parallel (Jacobi) sweeps; null: one by one"
    )


FillSettings = Annotated[Pause | Hidden | Fusion, Field(discriminator="kind")]
