"""A fill of a model: its settings with the latent token and the trained parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from thoughtscope.latents.fills.base import BaseFill, Feed


@dataclass(frozen=True)
class Fill:
    """What is fed at the latents of a model.

    Attributes:
        settings: of its kind.
        latent_id: id of the latent token.
        parameters: as `settings.parameters` returned them; None: it has none.
    """

    settings: BaseFill
    latent_id: int
    parameters: nn.Module | None = None

    def feed(self, model: Any) -> Feed:
        """Return the function of one forward pass of `model` that computes the fed vectors; see `BaseFill.feed`."""
        return self.settings.feed(model, self.latent_id, self.parameters)
