"""How probable the gold answer is at the place where a response gives its answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from thoughtscope.backbones.prompt import decoded
from thoughtscope.latents.generate import Generation
from thoughtscope.methods.curriculum import Example
from thoughtscope.reasoner import Reasoner
from thoughtscope.tasks.reasoning import ANSWER

Seen = Mapping[int, Sequence[float]]  # place in the text -> log-probabilities of the gold answer's tokens there


class GoldAnswers:
    """Watches generation and keeps the log-probabilities of each question's gold answer.

    Args:
        examples: the questions; a generation's place among them is given by `about`.
    """

    def __init__(self, reasoner: Reasoner, examples: Sequence[Example]) -> None:
        parts = [split_answer(reasoner, one) for one in examples]
        self.marks, self.values = [mark for mark, _ in parts], [value for _, value in parts]
        longest = max(len(value) for value in self.values)
        rows = [[*value, *([0] * (longest - len(value)))] for value in self.values]
        self.targets = torch.tensor(rows, device=reasoner.model.device)
        self.latent_id = reasoner.latent_id
        self.questions: dict[str, int] = {one.example_id: i for i, one in enumerate(examples)}
        self.seen: dict[int, dict[int, Sequence[float]]] = {}

    def __call__(self, alive: Sequence[Generation], scores: Tensor) -> None:
        """Keep the log-probabilities of the next token; ``scores [rows, vocabulary]``."""
        rows = torch.tensor([self.questions[one.prompt.example_id] for one in alive], device=scores.device)
        found = scores.log_softmax(-1).gather(1, self.targets[rows]).tolist()
        for one, values in zip(alive, found, strict=True):
            self.seen.setdefault(id(one), {})[len(one.response) - one.latents] = values

    def text(self, generation: Generation) -> list[int]:
        """Return a response's tokens without its latents."""
        return [token for token in generation.response if token != self.latent_id]

    def log_probability(self, generation: Generation, before: Seen | None = None) -> float | None:
        """Return the log-probability in nats of the gold answer after the response's answer mark.

        Of an answer of several tokens, those up to the first that the response does not have count. None: the response
        has no answer mark.

        Args:
            before: what was seen of the response before it was resumed.
        """
        question = self.questions[generation.prompt.example_id]
        text, mark, value = self.text(generation), self.marks[question], self.values[question]
        ends = [i + len(mark) for i in range(len(text)) if text[i : i + len(mark)] == mark]
        seen = {**(before or {}), **self.seen.get(id(generation), {})}
        if not ends or ends[-1] not in seen:
            return None
        total = 0.0
        for place, token in enumerate(value):
            total += seen[ends[-1] + place][place]
            if text[ends[-1] + place : ends[-1] + place + 1] != [token]:
                break
        return total if math.isfinite(total) else None


def split_answer(reasoner: Reasoner, example: Example) -> tuple[list[int], list[int]]:
    """Return the tokens of the answer mark and those of the answer after it, without EOS."""
    tokens = example.answer[:-1]
    for end in range(1, len(tokens)):
        if ANSWER in decoded(reasoner.tokenizer, tokens[:end]):
            return tokens[:end], tokens[end:]
    return tokens[:-1], tokens[-1:]
