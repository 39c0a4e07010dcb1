"""Measures the accuracy of a reasoner on questions, by greedy generation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from thoughtscope.latents.generate import Decoding, Generation
from thoughtscope.methods.curriculum import Example
from thoughtscope.reasoner import Reasoner
from thoughtscope.statistics import wilson_interval


def predict(
    reasoner: Reasoner,
    examples: Sequence[Example],
    decoding: Decoding,
    any_rank: Callable[[bool], bool] = bool,
    latents: int | None = None,
) -> list[dict[str, Any]]:
    """Answer questions and return a row for each: `schemas.PREDICTIONS` without run, step, layout and split.

    Args:
        any_rank, latents: see `Reasoner.generate`.
    """
    generations = reasoner.generate(examples, decoding, any_rank, latents)
    return [prediction(reasoner, one, generation) for one, generation in zip(examples, generations, strict=True)]


def prediction(reasoner: Reasoner, example: Example, generation: Generation) -> dict[str, Any]:
    """Return a row of `predict`: the answer of a generation, whether it is right, and its cost."""
    text = reasoner.text(generation)
    predicted = example.judge.read(text)
    return {
        "example_id": example.example_id,
        "correct": example.judge.correct(predicted, example.gold),
        "predicted": predicted,
        "response": text,
        "latents": generation.latents + generation.prompt.latents,
        "visible_tokens": len(generation.response) - generation.latents,
        "forward_passes": generation.passes,
        "operations": reasoner.operations(generation),
        "stopped": generation.stopped,
        "overlap": example.overlap,
    }


def summarise(rows: Sequence[dict[str, Any]], confidence: float) -> dict[str, Any]:
    """Return n, correct, accuracy with its Wilson interval, and means of a response."""
    n, correct = len(rows), sum(row["correct"] for row in rows)
    low, high = wilson_interval(correct, n, confidence)
    return {
        "n": n,
        "correct": correct,
        "accuracy": correct / n,
        "ci_low": low,
        "ci_high": high,
        "mean_latents": sum(row["latents"] for row in rows) / n,
        "mean_visible_tokens": sum(row["visible_tokens"] for row in rows) / n,
        "mean_forward_passes": sum(row["forward_passes"] for row in rows) / n,
        "mean_operations": sum(row["operations"] for row in rows) / n,
    }
