"""Hidden: feeds the hidden state of the position before, unchanged (Coconut) or projected (CODI)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from thoughtscope.latents.fills.base import BaseFill, Feed
from thoughtscope.settings import Positive, Probability, Strict

if TYPE_CHECKING:
    from torch import nn


class Projector(Strict):
    """Dropout, two linear layers with a GELU between them, and a layer norm (CODI, arXiv 2502.21074)."""

    inner: Positive = Field(..., description="width between the two linear layers")
    dropout: Probability = Field(0.0, description="share of the state's entries that training drops")
    norm: bool = Field(True, description="whether a layer norm follows")


class Settings(BaseFill):
    """The hidden state of the position before (Coconut, arXiv 2412.06769), or a projection of it (CODI)."""

    kind: Literal["hidden"]
    projector: Projector | None = Field(None, description="what the state passes through; null: it is fed as it is")

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """The projector's inner width, and whether it has a norm."""
        return () if self.projector is None else (self.projector.inner, self.projector.norm)

    def parameters(self, width: int) -> nn.Module | None:
        """Return the projector, if there is one."""
        from torch import nn

        if self.projector is None:
            return None
        inner, dropout = self.projector.inner, self.projector.dropout
        layers = [nn.Dropout(dropout), nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width)]
        return nn.Sequential(*layers, *([nn.LayerNorm(width)] if self.projector.norm else []))

    def feed(self, model: Any, latent_id: int, parameters: nn.Module | None) -> Feed:
        """Return the hidden state of `layer`, projected if there is a projector."""
        return lambda last, chosen: chosen if parameters is None else parameters(chosen)
