"""The words that all kinds of methods share: stages, encoded examples, latent tokens. Knows no kind."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from thoughtscope.errors import UserError
from thoughtscope.latents.settings import FillSettings
from thoughtscope.settings import Count, Look, Probability, Strict
from thoughtscope.tasks.answers import Judge


class MethodSettings(Strict):
    """What every method file may say."""

    kind: str
    label: str = Field("", description="the method's name as figures print it")
    look: Look | None = Field(None, description="how figures draw it; null: a look that no other there has")
    yoked_to: str | None = Field(
        None, description="follow the stage switches that this method realised on the same backbone and seed"
    )
    initial_rows: dict[str, str] = Field(
        {}, description="for a token the method adds: text whose last token its embeddings start from; default EOS"
    )
    training: dict[str, Any] = Field({}, description="overrides of the main file's `training`")


@dataclass(frozen=True)
class Stage:
    """One part of a curriculum.

    Attributes:
        index: place in the curriculum, from 0.
        name: what reports and tables call it; different for each stage of a curriculum.
        share: its longest duration, as a share of the run's updates.
        payload: what the method's kind needs to lay out the stage; nothing else looks at it.
        min_updates: it lasts at least as long.
        learned_at: validation accuracy at which it ends early; None: never.
        fill: what is fed at its latents; None: it has none.
        markers: whether tokens that the method adds stand in its text, although it may have no latents.
        chosen: whether the model itself chooses its latents at test time.
        min_latents: mean latents an example must have, else the stage is an error.
        scored: whether its layout needs the current model's probabilities.
    """

    index: int
    name: str
    share: float
    payload: Any = None
    min_updates: int = 0
    learned_at: float | None = None
    fill: FillSettings | None = None
    markers: bool = False
    chosen: bool = False
    min_latents: float = 0.0
    scored: bool = False


class Ending(Strict):
    """When a stage ends before its share is used up."""

    learned_at: Probability | None = Field(None, description="validation accuracy that ends a stage; null: never")
    min_updates: Count = Field(0, description="a stage lasts at least as many updates")


@dataclass(frozen=True)
class Example:
    """A reasoning example as token ids: prompt, each step with its separator, and the answer with EOS.

    Attributes:
        judge: reads and compares its answer.
        overlap: where else its question stands, as in `schemas.REASONING`.
    """

    example_id: str
    prompt: list[int]
    steps: list[list[int]]
    answer: list[int]
    gold: str = ""
    judge: Judge = field(default_factory=Judge)
    overlap: str | None = None

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
            raise UserError("tokenizer", f"token {token!r} is missing", "add it, or build the backbone anew") from None


def check_tokens(module: Any, settings: Any, where: str) -> None:
    """Refuse settings of a method that name tokens which it does not add.

    Args:
        module: the method's kind.

    Raises:
        UserError: a key of `initial_rows`, or the latent token, is none of its tokens.
    """
    added, latent = module.tokens(settings), module.latent_token(settings)
    known = f"use one of {', '.join(added)}" if added else "remove it"
    for token in settings.initial_rows:
        if token not in added:
            raise UserError(f"{where}: initial_rows", f"the method adds no token {token!r}", known)
    if latent is not None and latent not in added:
        raise UserError(f"{where}: kind", f"its latent token {latent!r} is none of its tokens", known)


def draw(seed: int, *key: object) -> random.Random:
    """Return a generator of random numbers of an example's own: the same whatever batch or rank it is in."""
    return random.Random(":".join(map(str, (seed, *key))))
