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
        index: the position in the curriculum, from 0.
        name: the name in reports and tables, unique in the curriculum.
        share: the duration as a share of the updates of the run; None: it lasts until it is learned.
        payload: information for the method to lay out examples; nothing else reads it.
        min_updates: the smallest number of updates.
        learned_at: the validation accuracy at which it is learned; None if it has a share.
        tail: number of updates after it is learned.
        fill: computes the vectors fed at its latents; None: it has no latents.
        markers: whether its text contains tokens that the method adds, even without latents.
        chosen: whether the model chooses latents at test time.
        min_latents: required mean number of latents per example; fewer are an error.
        scored: whether its layout needs probabilities under the current model.
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
    min_updates: Count = Field(0, description="smallest number of updates of a stage")
    tail: Count = Field(
        0, description="number of updates after the last stage is learned, over which a `wsd` rate decays to 0"
    )


@dataclass(frozen=True)
class Example:
    """A reasoning example as token ids: prompt, each step with its separator, and the answer with EOS.

    Attributes:
        judge: reads and compares answers.
        cue: tokens of `answer` before the first that holds a part of its value (the mark that announces it).
        overlap: the other split that contains its question, as in `schemas.REASONING`.
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
        """The token ids of all steps."""
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
    """Return a random generator for one example, which does not depend on its batch or rank."""
    return random.Random(":".join(map(str, (seed, *key))))
