"""The types that all methods share: stages of a curriculum, encoded examples, ids of added tokens."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from thoughtscope.errors import UserError
from thoughtscope.latents.settings import AnyFill
from thoughtscope.settings import Count, Positive, PositiveFloat, Probability, Strict
from thoughtscope.tasks.answers import Judge


class ThinkingSettings(Strict):
    """When a response that begins with latents goes over to text."""

    end: str = Field(
        ..., description="text that ends thinking: where its first token is the likeliest one, and all of it follows"
    )
    entropy: PositiveFloat | None = Field(
        None,
        description="it also ends after `steps` predictions in a row with less entropy, in nats; null: never",
    )
    steps: Positive = Field(256, description="see entropy")


@dataclass(frozen=True)
class Stage:
    """A stage of a curriculum.

    Attributes:
        index: in the curriculum, from 0.
        name: what reports and tables call it; different for each stage of a curriculum.
        share: its duration as a share of the run's updates; None: it lasts until it is learned.
        payload: what the method needs to lay out an example in the stage; only the method reads it.
        min_updates: it lasts at least as many updates.
        learned_at: validation accuracy at which it is learned; None where it has a share.
        tail: updates that follow once it is learned.
        fill: what is fed at its latents; None: it has none.
        markers: whether tokens that the method adds stand in its text, although it may have no latents.
        chosen: whether the model itself chooses its latents at test time.
        min_latents: mean latents an example must have, else the stage is an error.
        scored: whether its layout needs the current model's probabilities.
        thinking: when latents that begin a response at test time end; None: it does not begin with latents.
    """

    index: int
    name: str
    share: float | None
    payload: Any = None
    min_updates: int = 0
    learned_at: float | None = None
    tail: int = 0
    fill: AnyFill | None = None
    markers: bool = False
    chosen: bool = False
    min_latents: float = 0.0
    scored: bool = False
    thinking: ThinkingSettings | None = None


class Ending(Strict):
    """When stages end that last until they are learned; `training.updates` is then the budget of the whole run."""

    learned_at: Probability | None = Field(
        None, description="validation accuracy that ends a stage; null: stages last as long as their shares"
    )
    min_updates: Count = Field(0, description="a stage lasts at least as many updates")
    tail: Count = Field(
        0, description="updates that follow once the last stage is learned; a `wsd` rate falls to 0 over them"
    )


@dataclass(frozen=True)
class Example:
    """A reasoning example as token ids: prompt, each step with its separator, and the answer with EOS.

    Attributes:
        judge: reads and compares its answer.
        cue: tokens of `answer` before the first that holds a part of its value (the mark that announces it).
        overlap: where else its question stands, as in `schemas.REASONING`.
    """

    example_id: str
    prompt: list[int]
    steps: list[list[int]]
    answer: list[int]
    gold: str = ""
    judge: Judge = field(default_factory=Judge)
    overlap: str | None = None
    cue: int = 0

    @property
    def thoughts(self) -> list[int]:
        """All steps, one after another."""
        return [token for step in self.steps for token in step]

    @property
    def response(self) -> list[int]:
        """The whole response in text."""
        return self.thoughts + self.answer


@dataclass(frozen=True)
class TokenIds:
    """Ids of the tokens that methods add, by their text."""

    ids: Mapping[str, int]

    def __getitem__(self, token: str) -> int:
        try:
            return self.ids[token]
        except KeyError:
            raise UserError("tokenizer", f"token {token!r} is missing", "add it, or build the backbone again") from None


def example_rng(seed: int, *key: object) -> random.Random:
    """Return a random generator for one example: the same whatever batch or rank it is in."""
    return random.Random(":".join(map(str, (seed, *key))))
