"""Pause: the embedding of the latent token is fed, as for any other token, without recurrence."""

from __future__ import annotations

from typing import ClassVar, Literal

from thoughtscope.latents.fills.base import BaseFill


class Settings(BaseFill):
    """The embedding of the latent token, without recurrence."""

    sequential: ClassVar[bool] = False
    layer: ClassVar[None] = None  # type: ignore[misc]  # no key of this kind
    sweeps: ClassVar[None] = None  # type: ignore[misc]

    kind: Literal["pause"]
