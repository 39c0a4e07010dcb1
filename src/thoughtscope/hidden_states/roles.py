"""The role of each token in a question with its response: question, step, separator, answer, control token or latent.

Works on token ids and their texts; imports no torch.
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from thoughtscope.latents.layout import TokenSequence
from thoughtscope.tasks.reasoning import ANSWER, SEPARATOR

QUESTION, STEP, SEPARATING, ANSWERING = "question", "step", "separator", "answer"
TEXT_ROLES = (QUESTION, STEP, SEPARATING, ANSWERING)
LATENT, CONTROL, TEMPLATE, STATEMENT = "latent", "control", "template", "statement"
BEFORE = "before"  # stored only because the next token was drawn


@dataclass(frozen=True)
class Place:
    """A position of a batch that is stored.

    Args:
        row: of the batch.
        position: in the sequence, counted from 0.
        latent_index: k for the k-th latent of a response, counted from 1; None for other tokens.
        role: one of the names above.
    """

    row: int
    position: int
    latent_index: int | None
    role: str


def shared_ends(prompts: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Return the lengths of the common prefix and the common suffix of all `prompts`.

    A chat template puts all questions between the same tokens. The two parts never overlap.
    """
    shortest = min(len(prompt) for prompt in prompts)
    first = prompts[0]
    begin = next((i for i in range(shortest) if any(one[i] != first[i] for one in prompts)), shortest)
    room = shortest - begin
    end = next((i for i in range(room) if any(one[-1 - i] != first[-1 - i] for one in prompts)), room)
    return begin, end


def roles(sequence: TokenSequence, pieces: Sequence[str], control: Collection[int], ends: tuple[int, int]) -> list[str]:
    """Return the role of each position of a prompt with its response.

    Args:
        pieces: the text of each token.
        control: ids of the tokens that the method added to the vocabulary.
        ends: lengths of the common prefix and suffix of all prompts, from `shared_ends`.
    """
    length = sequence.prompt_length
    found = [QUESTION if ends[0] <= t < length - ends[1] else TEMPLATE for t in range(length)]
    response = range(length, len(sequence.token_ids))
    text = [t for t in response if not sequence.is_latent[t] and sequence.token_ids[t] not in control]
    named = dict(zip(text, _response_roles([pieces[t] for t in text]), strict=True))
    return found + [LATENT if sequence.is_latent[t] else named.get(t, CONTROL) for t in response]


def _response_roles(pieces: Sequence[str]) -> Iterator[str]:
    """Yield the role of each text token of a response: steps before the last answer mark, the answer after it."""
    text = "".join(pieces)
    mark = text.rfind(ANSWER)
    signs = {i for i, letter in enumerate(text) if letter == SEPARATOR.strip() or letter.isspace()}
    signs |= {i for found in re.finditer(re.escape(ANSWER), text) for i in range(*found.span())}
    start = 0
    for piece in pieces:
        inside = range(start, start + len(piece))
        start += len(piece)
        if all(i in signs for i in inside):
            yield SEPARATING
        else:
            yield ANSWERING if 0 <= mark < start else STEP


def latent_places(row: int, sequence: TokenSequence) -> list[Place]:
    """Return the latents of a sequence, in order."""
    latents = [t for t, latent in enumerate(sequence.is_latent) if latent]
    return [Place(row, t, k, LATENT) for k, t in enumerate(latents, start=1)]


def text_places(row: int, sequence: TokenSequence, names: Sequence[str], count: int) -> list[Place]:
    """Return `count` random text tokens of each role, and the text or control token before each, in order.

    The tokens are drawn from a seed that depends on the example's id, so the batch has no influence.

    Args:
        names: the role of each position, from `roles`.
    """
    drawn: dict[int, str] = {}
    for role in TEXT_ROLES:
        there = [t for t, name in enumerate(names) if name == role]
        chosen = random.Random(f"{sequence.example_id}:{role}").sample(there, min(count, len(there)))
        drawn |= dict.fromkeys(chosen, role)
    before = {t - 1: BEFORE for t in drawn if t > 0 and not sequence.is_latent[t - 1]}
    return [Place(row, t, None, role) for t, role in sorted({**before, **drawn}.items())]


def following(sequence: TokenSequence, position: int) -> int | None:
    """Return the position of the first text token after `position`; None if there is none."""
    return next((t for t in range(position + 1, len(sequence.token_ids)) if not sequence.is_latent[t]), None)
