"""chain: left-to-right arithmetic modulo a prime, with all intermediate values.

    question  3 * 2 + 4 * 5 =        (modulo 7)
    steps     6, 3, 1                (as bare values, or as equations: 3 * 2 = 6)

A model that stores intermediate values in latents can solve it; a single forward pass over the question does not
suffice. Validation and test questions end with pairs of operations that no training question ends with, and cannot be
reordered into a training question. So these cannot be answered by memorising the last two operations, a value with the
operations after it, or questions with swapped operands.
"""

from __future__ import annotations

import itertools
import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from thoughtscope.errors import UserError
from thoughtscope.settings import Positive
from thoughtscope.tasks.base import QuestionTask, Splits
from thoughtscope.tasks.reasoning import response_text

OPERATORS = "+*"
HELD_OUT = 0.25  # largest share of all questions whose endings are held out of train
Ending = list[Sequence[int]]  # the numbers of the questions with one ending


class Settings(QuestionTask):
    """Arithmetic modulo `modulus` with `operations` operations and operands from 1 to modulus - 1."""

    kind: Literal["chain"]
    modulus: int = Field(..., ge=3, description="a prime, so that multiplication is invertible")
    operations: Positive = Field(..., description="steps of a question (K)")
    steps: Literal["values", "equations"] = Field("values", description="how a step is written")
    splits: Splits
    seed: int = 0

    @model_validator(mode="after")
    def _modulus_is_prime(self) -> Settings:
        if any(self.modulus % d == 0 for d in range(2, int(self.modulus**0.5) + 1)):
            raise ValueError(f"modulus {self.modulus} is not a prime: use 5, 7 or 11")
        return self

    def examples(self) -> Iterator[dict[str, Any]]:
        """Yield distinct questions; no two splits share an ending (see `endings`).

        Raises:
            UserError: there are fewer questions, or endings, than the splits need.
        """
        sizes = self.splits.model_dump()
        wanted, space = sum(sizes.values()), question_count(self)
        if wanted > space:
            raise UserError(
                "task chain: splits",
                f"{wanted} questions wanted, {space} there are",
                "lower the splits, or raise modulus or operations",
            )
        rng = random.Random(self.seed)
        groups = endings(self)
        rng.shuffle(groups)
        for split, held in _shares(self, groups, sizes).items():
            room = sum(_room(self, split, group) for group in held)
            if room < sizes[split]:
                raise UserError(
                    f"task chain: splits.{split}",
                    f"{sizes[split]} questions wanted, {room} there are with endings of its own",
                    "lower the splits, or raise modulus or operations",
                )
            parts = [part for group in held for part in group]
            ends = list(itertools.accumulate(map(len, parts)))
            drawn: dict[int, None] = {}
            while len(drawn) < sizes[split]:
                place = rng.randrange(ends[-1])
                part = bisect_right(ends, place)
                number = parts[part][place - ends[part]]
                if split == "train" or _settled(self, number):
                    drawn[number] = None
            for number in drawn:
                yield {"example_id": f"chain-{number}", "split": split, **_question(self, number)}

    def pretraining_texts(self) -> Iterator[dict[str, Any]]:
        """Yield the training questions with their steps, and after every third one a question of a single operation.

        These are in no split if `operations` is above 1. Without them, models in which some layers have no positional
        encoding learn the steps late.
        """
        single = itertools.cycle(_single_operations(self))
        train = (row for row in self.examples() if row["split"] == "train")
        for i, row in enumerate(train):
            yield {"question": row["question"], "response": response_text(row["steps"], row["answer"])}
            if i % 3 == 2:
                yield next(single)

    def chance(self) -> float:
        """Return the accuracy of guessing a value."""
        return 1 / self.modulus


def endings(settings: Settings) -> list[Ending]:
    """Return all questions grouped by their endings; `_question` turns their numbers into text.

    The ending of a question with three or more operations is its last two operations, whatever value they start from.
    If a pair of operations were held out for some values only, its results could be derived from those of other values.
    Two additions or two multiplications are the same ending in either order. With two operations, the ending is the
    value after the first operation and the second operation. With one, it is the operator and its operands in either
    order.
    """
    operands, base = settings.modulus - 1, (settings.modulus - 1) * len(OPERATORS)
    groups: dict[tuple[int, ...], list[Sequence[int]]] = {}
    key: tuple[int, ...]
    if settings.operations > 2:
        size = operands * base ** (settings.operations - 2)  # the last operations are the leading digits of a number
        for pair in range(base * base):
            one, other = pair % base, pair // base
            commute = one % len(OPERATORS) == other % len(OPERATORS)
            key = (min(one, other), max(one, other)) if commute else (one, other)
            groups.setdefault(key, []).append(range(pair * size, (pair + 1) * size))
        return list(groups.values())
    for number in range(question_count(settings)):
        first, operation = number % operands + 1, number // operands % base
        operator, right = OPERATORS[operation % len(OPERATORS)], operation // len(OPERATORS) + 1
        if settings.operations == 1:
            key = (min(first, right), max(first, right), operation % len(OPERATORS))
        else:
            key = (_apply(first, operator, right, settings.modulus), number // (operands * base))
        groups.setdefault(key, []).append(range(number, number + 1))
    return list(groups.values())


def _settled(settings: Settings, number: int) -> bool:
    """Return whether a question has the same ending in every order of its operations that gives the same result.

    This holds if the operator before the ending differs from the first operator of the ending.
    """
    if settings.operations == 1:
        return True
    operands, base = settings.modulus - 1, (settings.modulus - 1) * len(OPERATORS)
    before = number // (operands * base ** max(0, settings.operations - 3))
    return bool(before % base % len(OPERATORS) != before // base % base % len(OPERATORS))


def _room(settings: Settings, split: str, ending: Ending) -> int:
    """Return how many questions of an ending a split can use: in train all, in other splits the settled ones."""
    if split == "train":
        return sum(map(len, ending))
    if settings.operations > 2:
        return sum(map(len, ending)) // len(OPERATORS)
    return sum(_settled(settings, number) for part in ending for number in part)


def _shares(settings: Settings, groups: Sequence[Ending], sizes: dict[str, int]) -> dict[str, list[Ending]]:
    """Assign endings to splits: at most `HELD_OUT` to validation and test, in the ratio of their sizes."""
    held: dict[str, list[Ending]] = {split: [] for split in sizes}
    filled, taken, left = {"validation": 0, "test": 0}, 0, question_count(settings)
    most = HELD_OUT * left
    for group in groups:
        split, size = min(filled, key=lambda name: filled[name] / sizes[name]), sum(map(len, group))
        needed = filled[split] < sizes[split]
        if left - size >= sizes["train"] and (needed or taken + size <= most):
            filled[split] += _room(settings, split, group)
            taken, left = taken + size, left - size
        else:
            split = "train"
        held[split].append(group)
    return held


def _single_operations(settings: Settings) -> list[dict[str, Any]]:
    """Return every operation on every value, in a random order."""
    found = []
    for left, operator, right in itertools.product(range(settings.modulus), OPERATORS, range(1, settings.modulus)):
        value = _apply(left, operator, right, settings.modulus)
        step = f"{left} {operator} {right} = {value}" if settings.steps == "equations" else str(value)
        found.append({"question": f"{left} {operator} {right} =", "response": response_text([step], str(value))})
    random.Random(settings.seed).shuffle(found)
    return found


def question_count(settings: Settings) -> int:
    """Return the number of different questions."""
    return int((settings.modulus - 1) * ((settings.modulus - 1) * len(OPERATORS)) ** settings.operations)


def _question(settings: Settings, number: int) -> dict[str, Any]:
    """Return the question with the given number, its steps and its answer."""
    operands = settings.modulus - 1
    number, rest = divmod(number, operands)
    value = rest + 1
    text, steps, values = str(value), [], []
    operations: list[tuple[str, int]] = []
    for _ in range(settings.operations):
        number, rest = divmod(number, operands * len(OPERATORS))
        operator, right = OPERATORS[rest % len(OPERATORS)], rest // len(OPERATORS) + 1
        result = _apply(value, operator, right, settings.modulus)
        text += f" {operator} {right}"
        steps.append(f"{value} {operator} {right} = {result}" if settings.steps == "equations" else str(result))
        values.append(str(result))
        operations.append((operator, right))
        value = result
    outcomes = [_outcomes(operations[k:], settings.modulus) for k in range(1, len(operations) + 1)]
    found = {"question": f"{text} =", "steps": steps, "answer": str(value), "step_values": values}
    return {**found, "outcomes": outcomes}


def _outcomes(operations: Sequence[tuple[str, int]], modulus: int) -> list[tuple[str, str]]:
    """Return what the remaining operations make of each value."""

    def answer(value: int) -> int:
        for operator, right in operations:
            value = _apply(value, operator, right, modulus)
        return value

    return [(str(value), str(answer(value))) for value in range(modulus)]


def _apply(left: int, operator: str, right: int, modulus: int) -> int:
    return (left + right if operator == "+" else left * right) % modulus
