"""What is fed in place of a latent, and the questions that it is taken from."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def zeros(own: Tensor, seed: int) -> Tensor:
    """Return zeros ``[n, d]``."""
    return torch.zeros_like(own)


def noise(own: Tensor, seed: int) -> Tensor:
    """Return random directions ``[n, d]``, each as long as the vector that it replaces."""
    drawn = torch.randn(own.shape, generator=torch.Generator().manual_seed(seed)).to(own)
    scaled: Tensor = drawn * (own.norm(dim=1) / drawn.norm(dim=1))[:, None]
    return scaled


def mean(own: Tensor, seed: int) -> Tensor:
    """Return the mean over the questions, ``[n, d]``."""
    return own.mean(dim=0).expand_as(own)


WITHOUT_DONOR: Mapping[str, Callable[[Tensor, int], Tensor]] = {"zeros": zeros, "noise": noise, "mean": mean}


def any_other(names: Sequence[str], seed: int) -> dict[str, str]:
    """Return another question, drawn at random, for each of `names`; none if there is but one."""
    order = list(names)
    random.Random(seed).shuffle(order)
    if len(order) < 2:
        return {}
    return dict(zip(order, [*order[1:], order[0]], strict=True))


def partners(rows: Mapping[str, Mapping[str, Any]], seed: int) -> dict[str, str]:
    """Return pairs of questions whose intermediate values differ in every step, each of a pair for the other.

    Questions without `step_values` differ in their answers. Who finds no partner is left out.
    """
    left = list(rows)
    random.Random(seed).shuffle(left)
    found: dict[str, str] = {}
    while left:
        one = left.pop()
        other = next((name for name in reversed(left) if _differ(rows[one], rows[name])), None)
        if other is not None:
            left.remove(other)
            found |= {one: other, other: one}
    return found


def _differ(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    values, others = one["step_values"] or [one["answer"]], other["step_values"] or [other["answer"]]
    return len(values) == len(others) and all(a != b for a, b in zip(values, others, strict=True))


def expected(row: Mapping[str, Any], donor: Mapping[str, Any]) -> dict[int, str]:
    """Return the answer that follows from the donor's value, for each step whose values differ.

    Steps count from 1. Where a task does not say what follows from another value (`outcomes`), step 0 stands for the
    answer itself: the donor's.
    """
    outcomes = row.get("outcomes") or []
    if not outcomes:
        return {0: donor["answer"]} if donor["answer"] != row["answer"] else {}
    values = zip(row["step_values"], donor["step_values"], strict=False)
    return {
        step: dict(outcomes[step - 1])[other]
        for step, (own, other) in enumerate(values, start=1)
        if own != other and other in dict(outcomes[step - 1])
    }
