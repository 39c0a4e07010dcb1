"""chain: left-to-right arithmetic modulo a prime, every intermediate value known.

    question  3 * 2 + 4 * 5 =        (modulo 7)
    steps     6, 3, 1                (as bare values, or as equations: 3 * 2 = 6)

A model that can use a latent to hold an intermediate value solves it; one forward pass over the question
does not. Knows nothing about tokenizers or files.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, model_validator

from thoughtscope.errors import UserError
from thoughtscope.settings import Positive, Strict
from thoughtscope.tasks.reasoning import response_text

CONTRACT = "reasoning"
OPERATORS = "+*"


class Splits(Strict):
    """How many questions each split has."""

    train: Positive
    validation: Positive
    test: Positive


class Settings(Strict):
    """Arithmetic modulo `modulus` with `operations` operations; operands are 1 .. modulus - 1."""

    kind: Literal["chain"]
    modulus: int = Field(..., ge=3, description="a prime, so that multiplication loses nothing")
    operations: Positive = Field(..., description="steps of a question (K)")
    steps: Literal["values", "equations"] = Field("values", description="how a step is written")
    splits: Splits
    seed: int = 0

    @model_validator(mode="after")
    def _modulus_is_prime(self) -> Settings:
        if any(self.modulus % d == 0 for d in range(2, int(self.modulus**0.5) + 1)):
            raise ValueError(f"modulus {self.modulus} is not a prime: use 5, 7 or 11")
        return self


def examples(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield distinct questions, so that none is in two splits.

    Raises:
        UserError: there are fewer different questions than the splits want.
    """
    sizes = settings.splits.model_dump()
    wanted, space = sum(sizes.values()), question_count(settings)
    if wanted > space:
        raise UserError(
            "task chain: splits",
            f"{wanted} questions wanted, {space} there are",
            "lower the splits, or raise modulus or operations",
        )
    chosen = random.Random(settings.seed).sample(range(space), wanted)
    splits = [split for split, size in sizes.items() for _ in range(size)]
    for number, split in zip(chosen, splits, strict=True):
        yield {"example_id": f"chain-{number}", "split": split, **_question(settings, number)}


def pretraining(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield all single operations, which share no question with a split as long as `operations` is above 1."""
    for left in range(settings.modulus):
        for operator in OPERATORS:
            for right in range(1, settings.modulus):
                value = _apply(left, operator, right, settings.modulus)
                step = f"{left} {operator} {right} = {value}" if settings.steps == "equations" else str(value)
                response = response_text([step], str(value))
                yield {"question": f"{left} {operator} {right} =", "response": response}


def question_count(settings: Settings) -> int:
    """Return how many different questions there are."""
    return int((settings.modulus - 1) * ((settings.modulus - 1) * len(OPERATORS)) ** settings.operations)


def _question(settings: Settings, number: int) -> dict[str, Any]:
    """Return the question with the given number, its steps and its answer."""
    operands = settings.modulus - 1
    number, rest = divmod(number, operands)
    value = rest + 1
    text, steps, values = str(value), [], []
    for _ in range(settings.operations):
        number, rest = divmod(number, operands * len(OPERATORS))
        operator, right = OPERATORS[rest % len(OPERATORS)], rest // len(OPERATORS) + 1
        result = _apply(value, operator, right, settings.modulus)
        text += f" {operator} {right}"
        steps.append(f"{value} {operator} {right} = {result}" if settings.steps == "equations" else str(result))
        values.append(str(result))
        value = result
    return {"question": f"{text} =", "steps": steps, "answer": str(value), "step_values": values}


def _apply(left: int, operator: str, right: int, modulus: int) -> int:
    return (left + right if operator == "+" else left * right) % modulus
