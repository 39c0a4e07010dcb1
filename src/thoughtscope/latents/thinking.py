"""Responses that begin with latents, as many as the model needs: when each row goes over to text."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Thinking:
    """When a response stops to think in latents and goes on in text.

    Attributes:
        end: ids that end it: it ends where the first of them is the likeliest token, and all of them follow as text.
        entropy: it ends also after `steps` positions in a row whose prediction has less entropy, in nats; None: never.
        steps: see `entropy`.
    """

    end: tuple[int, ...]
    entropy: float | None
    steps: int


@dataclass
class Thought:
    """How far the thinking of one row has come.

    Attributes:
        thinking: whether it goes on.
        sure: positions in a row whose prediction has had little entropy.
        left: ids of `Thinking.end` that are still to be written.
    """

    thinking: bool = True
    sure: int = 0
    left: list[int] = field(default_factory=list)

    def next(self, rule: Thinking, likeliest: int, chosen: int, entropy: float, stop: bool, latent_id: int) -> int:
        """Return the next token of the row.

        Args:
            likeliest: the likeliest token of text.
            chosen: the token that follows if the row does not think.
            entropy: of the prediction, in nats.
            stop: whether thinking must end here.
            latent_id: stands for another latent.
        """
        if not self.thinking:
            return self.left.pop(0) if self.left else chosen
        self.sure = self.sure + 1 if rule.entropy is not None and entropy < rule.entropy else 0
        cold = rule.entropy is not None and self.sure >= rule.steps
        if not (stop or cold or likeliest == rule.end[0]):
            return latent_id
        self.thinking, self.left = False, list(rule.end[1:])
        return rule.end[0]


def next_tokens(
    rule: Thinking,
    thoughts: list[Thought],
    scores: Tensor,
    chosen: Tensor,
    full: list[bool],
    latent_id: int,
    eos_ids: Collection[int],
) -> Tensor:
    """Return the next token of each row ``[rows]``, latents included.

    Args:
        scores: of the next token ``[rows, vocabulary]``; that of the latent token is -inf.
        chosen: ``[rows]``, the next token of text.
        full: whether each row has as many latents as it may have.
    """
    logs = scores.log_softmax(-1)
    entropy = -(logs.exp() * logs.masked_fill(logs == -torch.inf, 0.0)).sum(-1)
    likeliest = scores.argmax(-1).tolist()
    found = [
        thought.next(rule, best, text, spread, none_left or best in eos_ids, latent_id)
        for thought, best, text, spread, none_left in zip(
            thoughts, likeliest, chosen.tolist(), entropy.tolist(), full, strict=True
        )
    ]
    return torch.tensor(found, device=scores.device)
