"""Soft Thinking (arXiv 2505.15778): a model that was trained on words thinks in mixtures of their embeddings.

Nothing trains: the run measures the backbone as it is. A response begins with latents, each fed the mean embedding of
the tokens that the model expects there. They end where the likeliest token begins the text `end`, or once the model has
been sure for many positions in a row ("cold stop"); `end` follows, and the answer in words.
"""

from __future__ import annotations

import random
from typing import ClassVar, Literal

from pydantic import Field

from thoughtscope.latents.layout import TokenSequence, sequence
from thoughtscope.latents.settings import AnyFill
from thoughtscope.methods.base import BaseMethod
from thoughtscope.methods.curriculum import Example, Stage, ThinkingSettings, TokenIds

LATENT = "<|soft-token|>"


class Settings(BaseMethod):
    """One stage without training: the model thinks in soft tokens, then answers in words."""

    trains: ClassVar[bool] = False

    kind: Literal["soft-thinking"]
    fill: AnyFill = Field(..., description="what is fed at latents; `soft` as published")
    thinking: ThinkingSettings = Field(..., description="when thinking ends")

    def stages(self, steps: int) -> list[Stage]:
        """Return the one stage; the number of `steps` does not matter to it."""
        return [Stage(0, "soft thinking", 1.0, fill=self.fill, chosen=True, thinking=self.thinking)]

    @property
    def tokens(self) -> list[str]:
        """Return the token that stands at soft tokens; the model never predicts it."""
        return [LATENT]

    @property
    def latent_token(self) -> str:
        """Return the token that stands at soft tokens."""
        return LATENT

    def layout(
        self,
        stage: Stage,
        example: Example,
        ids: TokenIds,
        rng: random.Random,
        probabilities: list[float] | None,
    ) -> TokenSequence:
        """Return the question and its response in words; nothing trains on it."""
        return sequence(example.example_id, example.prompt, example.response)

    def prompt(self, stage: Stage, example: Example, ids: TokenIds) -> TokenSequence:
        """Return the question alone."""
        return sequence(example.example_id, example.prompt, [])
