"""Where the latents of a response stand. Knows nothing about batches, models or vectors; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from thoughtscope.errors import UserError

IGNORE = -100


@dataclass(frozen=True)
class TokenSequence:
    """One prompt and response as token ids, with its latents marked.

    Args:
        example_id: the example it was made from.
        token_ids: the ids; at a latent, the id of the latent token.
        is_latent: whether each position is a latent.
        labels: the id to be predicted *at* each position (from the one before), or `IGNORE`.
        prompt_length: how many positions belong to the prompt.

    Raises:
        UserError: lengths differ, or a latent stands before any text.
    """

    example_id: str
    token_ids: tuple[int, ...]
    is_latent: tuple[bool, ...]
    labels: tuple[int, ...]
    prompt_length: int

    def __post_init__(self) -> None:
        if not len(self.token_ids) == len(self.is_latent) == len(self.labels):
            raise UserError(f"sequence {self.example_id}", "its layout has another length", "lay it out again")
        if not self.token_ids or self.is_latent[0]:
            raise UserError(f"sequence {self.example_id}", "a latent before any text", "start it with a prompt")

    @property
    def latents(self) -> int:
        """How many latents it has."""
        return sum(self.is_latent)


def sequence(
    example_id: str,
    prompt: list[int],
    response: list[int],
    *,
    is_latent: list[bool] | None = None,
    labelled: list[bool] | None = None,
) -> TokenSequence:
    """Build a `TokenSequence` from a prompt, which has no latents and no labels, and a response.

    Args:
        is_latent: whether each position of the response is a latent; by default none is.
        labelled: whether each id of the response is a label; by default all are, latents included.
    """
    is_latent = [False] * len(response) if is_latent is None else is_latent
    labelled = [True] * len(response) if labelled is None else labelled
    return TokenSequence(
        example_id,
        (*prompt, *response),
        (*([False] * len(prompt)), *is_latent),
        (
            *([IGNORE] * len(prompt)),
            *(t if keep else IGNORE for t, keep in zip(response, labelled, strict=True)),
        ),
        len(prompt),
    )


def with_latents(one: TokenSequence, count: int) -> TokenSequence:
    """Return a prompt with `count` latents in place of its own, which stand together.

    Raises:
        UserError: it has none, or text between them.
    """
    own = [t for t, latent in enumerate(one.is_latent) if latent]
    if not own or own != list(range(own[0], own[-1] + 1)):
        raise UserError(f"sequence {one.example_id}", "its latents are not one block", "leave evaluation.latents empty")
    first, end = own[0], own[-1] + 1

    def changed(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*values[:first], *[values[first]] * count, *values[end:])

    return TokenSequence(
        one.example_id, changed(one.token_ids), changed(one.is_latent), changed(one.labels), one.prompt_length
    )


def labelled_tokens(sequences: Iterable[TokenSequence]) -> int:
    """Return how many labels a batch has, over all ranks and micro-batches."""
    return sum(label != IGNORE for one in sequences for label in one.labels)
