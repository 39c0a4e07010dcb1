"""Free responses: batched, cached, latents inside, each row at its own pace.

Every step computes one position for every row that is still alive, text or latent; rows that end leave
the batch and their cache with them. Forced latents (Coconut's) are part of the prompt.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from thoughtscope.latents.cached import CachedRows
from thoughtscope.latents.fill import Fill
from thoughtscope.latents.head import likely, logits
from thoughtscope.latents.layout import TokenSequence, sequence
from thoughtscope.latents.packing import in_order_of_shape, pack, serial_passes
from thoughtscope.latents.thinking import Thinking, Thought, next_tokens
from thoughtscope.settings import Count, Positive, Probability, Strict

Stopped = Literal["eos", "length", "loop"]


class Decoding(Strict):
    """How responses are decoded."""

    max_new_tokens: Positive = 64
    max_latents: Count = Field(16, description="latents the model may choose; 0 bans them")
    max_latents_in_a_row: Positive = 4
    temperature: float = Field(0.0, ge=0, description="0: greedy")
    top_k: Positive | None = Field(None, description="draw from so many tokens at most; null: from all")
    top_p: Probability = 1.0
    min_p: Probability = Field(0.0, description="draw from tokens at least so likely, as a share of the likeliest one")
    seed: int = Field(0, description="of sampling; each example draws its own numbers, whatever the batch")
    sample: Count = Field(0, description="which of several responses to a question is drawn")
    loop_tokens: Positive = Field(128, description="a response ends if one piece fills so many tokens at its end ...")
    loop_repeats: Annotated[int, Field(ge=2)] = Field(
        8, description="... and stands there at least so many times in a row"
    )
    batch_size: Positive = 256


@dataclass
class Generation:
    """A prompt with its response: ids, which of them are latents, and why it stopped.

    Attributes:
        passes: serial forward passes of the model that this response needs, alone in its batch: those of the prompt
            (one, and one for each latent or Jacobi sweep that waits for the pass before), and one for each further
            position.
    """

    prompt: TokenSequence
    response: list[int] = field(default_factory=list)
    stopped: Stopped = "length"
    latents: int = 0
    latents_in_a_row: int = 0
    passes: int = 0

    def sequence(self, latent_id: int) -> TokenSequence:
        """Return prompt and response as one sequence without labels, latents marked."""
        return TokenSequence(
            self.prompt.example_id,
            (*self.prompt.token_ids, *self.response),
            (*self.prompt.is_latent, *(token == latent_id for token in self.response)),
            (-100,) * (len(self.prompt.token_ids) + len(self.response)),
            self.prompt.prompt_length,
        )


Watch = Callable[[list[Generation], Tensor], None]


@torch.no_grad()
def generate(
    model: Any,
    prompts: Sequence[TokenSequence],
    fill: Fill | None,
    decoding: Decoding,
    *,
    latent_id: int | None,
    eos_ids: Collection[int],
    any_rank: Callable[[bool], bool] = bool,
    thinking: Thinking | None = None,
    watch: Watch | None = None,
) -> list[Generation]:
    """Generate a response for each prompt; the batch changes nothing but the time.

    Args:
        fill: what is fed at latents, forced or chosen; None without latents.
        latent_id: the token whose prediction means a latent; None: it cannot be chosen.
        eos_ids: tokens that end a response.
        any_rank: returns whether its argument is true on any rank (ranks that shard a model step together).
        thinking: when latents that begin each response end; None: responses do not begin so.
        watch: sees, before each token is chosen, the rows that go on and their scores ``[rows, vocabulary]``.
    """
    results: list[Generation] = [Generation(prompt) for prompt in prompts]
    order = in_order_of_shape(prompts)
    start = 0
    while any_rank(start < len(order)):
        chosen = order[start : start + decoding.batch_size]
        rows = [results[i] for i in chosen]
        idle = not rows  # a rank without rows computes a dummy row, to stay in step with the others
        rows = rows or [Generation(sequence("dummy", [next(iter(eos_ids))], []))]
        started = _start(model, rows, fill, any_rank)
        batch = _Batch(model, rows, started, decoding, latent_id, eos_ids, idle=idle, thinking=thinking, watch=watch)
        batch.run(any_rank)
        start += decoding.batch_size
    return results


def _start(model: Any, rows: Sequence[Generation], fill: Fill | None, any_rank: Callable[[bool], bool]) -> CachedRows:
    """Compute the prompts of rows, in as many passes as the rank that needs most."""
    prompts, settings = [row.prompt for row in rows], fill.settings if fill else None
    for row in rows:
        row.passes = serial_passes(row.prompt, settings)
    needed, passes = len(pack(prompts, settings).passes), 0
    while any_rank(needed > passes):  # another rank's prompts may have more latents
        passes += 1
    return CachedRows.of(model, prompts, fill, passes=passes)


@torch.no_grad()
def resume(
    model: Any,
    rows: Sequence[Generation],
    computed: CachedRows,
    decoding: Decoding,
    *,
    latent_id: int | None,
    eos_ids: Collection[int],
    watch: Watch | None = None,
) -> None:
    """Go on with responses that have begun, until they end.

    Args:
        rows: prompts with what their responses have so far.
        computed: the same rows, all of their positions computed.
        watch: as in `generate`.
    """
    _Batch(model, list(rows), computed, decoding, latent_id, eos_ids, watch=watch).run(bool)


class _Batch:
    """Rows that are generated together; every tensor holds the rows still alive, in the order of `alive`."""

    def __init__(
        self,
        model: Any,
        alive: list[Generation],
        rows: CachedRows,
        decoding: Decoding,
        latent_id: int | None,
        eos_ids: Collection[int],
        *,
        idle: bool = False,
        thinking: Thinking | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.model, self.alive, self.rows, self.decoding = model, alive, rows, decoding
        self.latent_id, self.eos_ids = latent_id, frozenset(eos_ids)
        self.idle, self.thinking, self.watch = idle, thinking, watch
        self.draws = [random.Random(f"{decoding.seed}:{decoding.sample}:{row.prompt.example_id}") for row in alive]
        self.thoughts = [Thought() for _ in alive]

    def run(self, any_rank: Callable[[bool], bool]) -> None:
        """Step until every row has ended here and on all other ranks."""
        steps = 0
        limit = self.decoding.max_new_tokens + self.decoding.max_latents
        finished = self.idle
        while steps < limit:
            tokens = self._choose()
            ended = [self._append(row, token) for row, token in zip(self.alive, tokens.tolist(), strict=True)]
            finished = finished or all(ended)
            if not any_rank(not finished):
                return
            if not finished:
                tokens = self._drop(ended, tokens)
            for row in self.alive:
                row.passes += 1
            self.rows.advance(tokens, None if self.latent_id is None else tokens == self.latent_id)
            steps += 1

    def _choose(self) -> Tensor:
        """Return the next token of each row, ``[rows]``."""
        scores = logits(self.model, self.rows.last).float()
        if self.watch is not None:
            self.watch(self.alive, scores)
        if self.latent_id is not None:
            banned = [not self._may_think(row) for row in self.alive]
            scores[torch.tensor(banned, device=scores.device), self.latent_id] = -torch.inf
        chosen = self._text(scores)
        if self.thinking is None or self.latent_id is None:
            return chosen
        full = [row.latents >= self.decoding.max_latents for row in self.alive]
        return next_tokens(self.thinking, self.thoughts, scores, chosen, full, self.latent_id, self.eos_ids)

    def _text(self, scores: Tensor) -> Tensor:
        """Return the next token of each row ``[rows]``, the likeliest or drawn."""
        if self.decoding.temperature == 0:
            return scores.argmax(-1)
        probabilities = (scores / self.decoding.temperature).softmax(-1)
        inside = likely(probabilities, self.decoding.top_k, self.decoding.top_p, self.decoding.min_p)
        draws = torch.tensor([draw.random() for draw in self.draws], device=scores.device)
        crossed = inside.cumsum(-1) > draws[:, None] * inside.sum(-1, keepdim=True)
        return crossed.int().argmax(-1)

    def _may_think(self, row: Generation) -> bool:
        decoding = self.decoding
        if self.thinking is not None:
            return False  # its latents are not chosen by their token
        return row.latents < decoding.max_latents and row.latents_in_a_row < decoding.max_latents_in_a_row

    def _append(self, row: Generation, token: int) -> bool:
        """Add a token to a row and return whether the row has ended."""
        if self.idle:
            return True
        if token in self.eos_ids:
            row.stopped = "eos"
            return True
        row.response.append(token)
        if token == self.latent_id:
            row.latents += 1
            row.latents_in_a_row += 1
            return False
        row.latents_in_a_row = 0
        if loops(row.response, self.decoding.loop_tokens, self.decoding.loop_repeats):
            row.stopped = "loop"
            return True
        return len(row.response) - row.latents >= self.decoding.max_new_tokens

    def _drop(self, ended: list[bool], tokens: Tensor) -> Tensor:
        """Let ended rows leave; their part of the cache goes with them."""
        if not any(ended):
            return tokens
        keep = torch.tensor([i for i, done in enumerate(ended) if not done], device=tokens.device)
        self.alive = [self.alive[i] for i in keep.tolist()]
        self.draws = [self.draws[i] for i in keep.tolist()]
        self.thoughts = [self.thoughts[i] for i in keep.tolist()]
        self.rows.keep(keep)
        return tokens[keep]


def loops(response: list[int], tokens: int, repeats: int) -> bool:
    """Return whether a response ends in one piece, of any length, that is repeated over and over.

    Args:
        tokens: how many tokens the repetitions must fill, at least.
        repeats: how often the piece must stand there in a row, at least.
    """
    for period in range(1, len(response) // repeats + 1):
        size = period * max(repeats, -(-tokens // period))
        if size > len(response) or response[-1] != response[-1 - period]:
            continue
        if all(response[-i] == response[-i - period] for i in range(1, size - period + 1)):
            return True
    return False
