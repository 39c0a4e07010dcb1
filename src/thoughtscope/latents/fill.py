"""A fill of a model: its settings with the latent token and the trained parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from thoughtscope.latents.fills.base import BaseFill, Feed


@dataclass(frozen=True)
class Fill:
    """Computes the vectors that are fed at latents.

    Attributes:
        settings: of the kind of fill.
        latent_id: id of the latent token.
        parameters: the module from `settings.parameters`; None: the fill has no parameters.
    """

    settings: BaseFill
    latent_id: int
    parameters: nn.Module | None = None

    def feed(self, model: Any) -> Feed:
        """Return the function of one forward pass of `model` that computes the fed vectors; see `BaseFill.feed`."""
        return self.settings.feed(model, self.latent_id, self.parameters)
