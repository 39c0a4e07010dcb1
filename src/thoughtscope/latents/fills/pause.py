"""Pause: the latent token's own embedding is fed, as for any other token; there is no recurrence."""

from __future__ import annotations

from typing import ClassVar, Literal

from thoughtscope.latents.fills.base import BaseFill


class Settings(BaseFill):
    """The latent token's own embedding: no recurrence."""

    sequential: ClassVar[bool] = False
    layer: ClassVar[None] = None  # type: ignore[misc]  # no key of this kind
    sweeps: ClassVar[None] = None  # type: ignore[misc]

    kind: Literal["pause"]
