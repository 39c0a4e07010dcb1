"""How a reasoning example becomes text, and how its answer is found again.

response = step ; step ; ... #### answer
"""

from __future__ import annotations

from collections.abc import Sequence

SEPARATOR, ANSWER = " ;", "####"


def step_texts(steps: Sequence[str]) -> list[str]:
    """Return the text of each step with its separator; together with `answer_text` they are the response."""
    return [(" " if i else "") + step + SEPARATOR for i, step in enumerate(steps)]


def answer_text(answer: str) -> str:
    """Return the end of a response."""
    return f" {ANSWER} {answer}"


def response_text(steps: Sequence[str], answer: str) -> str:
    """Return a whole response."""
    return ("".join(step_texts(steps)) + answer_text(answer)).strip()


def extract_answer(text: str) -> str | None:
    """Return what follows the last answer mark, or None where there is none or nothing follows."""
    _, mark, after = text.rpartition(ANSWER)
    return after.strip() or None if mark else None
