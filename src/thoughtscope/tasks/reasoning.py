"""Turns the steps and the answer of an example into a response, from which `tasks.answers` reads the answer.

response = step ; step ; ... #### answer
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SEPARATOR, ANSWER = " ;", "####"


@dataclass(frozen=True)
class Skipped:
    """A row of a dataset that is left out; yielded among the examples of a task, and counted in its report."""

    split: str
    reason: str


def step_texts(steps: Sequence[str]) -> list[str]:
    """Return the text of each step with its separator; followed by `answer_text`, they are the response."""
    return [(" " if i else "") + step + SEPARATOR for i, step in enumerate(steps)]


def answer_text(answer: str) -> str:
    """Return the end of a response: the answer mark and the answer."""
    return f" {ANSWER} {answer}"


def response_text(steps: Sequence[str], answer: str) -> str:
    """Return the whole response."""
    return ("".join(step_texts(steps)) + answer_text(answer)).strip()
