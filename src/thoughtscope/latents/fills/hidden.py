"""Hidden: the hidden state of the position before is fed (Coconut, arXiv 2412.06769)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from thoughtscope.latents.fills.base import BaseFill, Feed

if TYPE_CHECKING:
    from torch import nn


class Settings(BaseFill):
    """The hidden state of the position before (Coconut, arXiv 2412.06769)."""

    kind: Literal["hidden"]

    def feed(self, model: Any, latent_id: int, parameters: nn.Module | None) -> Feed:
        """Return the hidden state of `layer` itself."""
        return lambda last, chosen: chosen
