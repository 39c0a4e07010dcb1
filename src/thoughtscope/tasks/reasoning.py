"""How a reasoning example becomes text; `tasks.answers` finds its answer again.

response = step ; step ; ... #### answer
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SEPARATOR, ANSWER = " ;", "####"


@dataclass(frozen=True)
class Skipped:
    """A row of a dataset that became no example, among the examples of a task; they are counted."""

    split: str
    reason: str


def step_texts(steps: Sequence[str]) -> list[str]:
    """Return the text of each step with its separator; together with `answer_text` they are the response."""
    return [(" " if i else "") + step + SEPARATOR for i, step in enumerate(steps)]


def answer_text(answer: str) -> str:
    """Return the end of a response."""
    return f" {ANSWER} {answer}"


def response_text(steps: Sequence[str], answer: str) -> str:
    """Return a whole response."""
    return ("".join(step_texts(steps)) + answer_text(answer)).strip()
