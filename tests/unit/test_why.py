"""What has changed since an artifact was made is read from Snakemake's reasons, and said in words."""

from __future__ import annotations

from typing import Any

import pytest

from workflow.lib.jobs import Job
from workflow.lib.why import explain, reasons

PARAMS = "Params have changed since last execution: Union of exclusive params before and now across all output: "
TRAINING: dict[str, Any] = {
    "updates": 16,
    "optimizer": {"learning_rate": 1e-4, "betas": [0.9, 0.99]},
    "note": "a, now: b",
}


def changed(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> str:
    """Return the reason that Snakemake gives when params differ, as it writes it."""
    old, new = (",".join(map(repr, groups)) or "<nothing exclusive>" for groups in (before, now))
    return f"{PARAMS}before: {old} now: {new} "


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        (
            [{"training": TRAINING}],
            [{"training": {**TRAINING, "optimizer": {"learning_rate": 2e-4, "betas": [0.9, 0.99]}}}],
            ["training.optimizer.learning_rate 0.0001 -> 0.0002"],
        ),
        ([{"layers": [1, 2]}, {"lora": None}], [{"layers": [1, 3]}, {"lora": {"rank": 4}}],
         ["layers[1] 2 -> 3", 'lora null -> {"rank": 4}']),
        ([{"layers": [1, 2]}], [{"layers": [1]}], ["layers [1, 2] -> [1]"]),
        ([], [{"title": "New"}], ['title null -> "New"']),
        (
            [{"sources": {"a": "1", "b": "2", "c": "3"}}],
            [{"sources": {"a": "1", "b": "4", "d": "5"}}],
            ["the code of b changed", "it now imports d", "it no longer imports c"],
        ),
        (
            [{"pins": {"torch": "2.13.0", "peft": "1"}}],
            [{"pins": {"torch": "2.14.0", "scipy": "2"}}],
            ["package torch 2.13.0 -> 2.14.0", "package peft 1 -> not used", "package scipy not used -> 2"],
        ),
    ],
)  # fmt: skip
def test_each_kind_of_change_is_named(before: list[Any], now: list[Any], words: list[str]) -> None:
    assert reasons(changed(before, now)) == words


def test_another_reason_stays_in_snakemakes_words() -> None:
    assert reasons("Missing output files: results/tables/summary.csv") == [
        "Missing output files: results/tables/summary.csv"
    ]


def test_jobs_that_only_follow_are_listed_in_one_line() -> None:
    def job(message: str, reason: str) -> Job:
        return Job("rule", message, {}, reason, (), ("output",), {})

    own = job("train coconut", changed([{"layers": [1]}], [{"layers": [2]}]))
    tables = [job(name, "Input files updated by another job: manifest.json") for name in ("summary", "curves")]
    assert list(explain([own, *tables])) == ["train coconut: layers[0] 1 -> 2", "because of that also: summary, curves"]
    assert list(explain([])) == []
