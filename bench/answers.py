"""Scores `tasks.answers` and math-verify on the table of answers in tests/unit/answers.jsonl; prints a table.

math-verify is not a requirement of the pipeline: `pip install math-verify` first. It gets the text after the answer
mark, if there is one, and its first match counts. It is right if it finds the answer of the table, or finds nothing
where the table has no answer.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from thoughtscope.errors import UserError, one_line_errors
from thoughtscope.tasks.answers import MARKS, Judge, UnreadableError, after_mark

TABLE = Path(__file__).parents[1] / "tests/unit/answers.jsonl"
Reader = Callable[[dict[str, Any]], bool]


def ours(case: dict[str, Any]) -> bool:
    """Return whether `tasks.answers` reads a case as the table has it."""
    judge = Judge(case["format"])
    try:
        found = judge.gold(case["text"]) if case["from"] == "gold" else judge.read(case["text"])
    except UnreadableError:
        found = None
    return found == case["expected"]


def math_verify(case: dict[str, Any]) -> bool:
    """Return whether math-verify reads a case as the table has it."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, StringExtractionConfig, parse, verify

    letters = tuple("abcdefghijklmnopqrstuvwxyz") + tuple(map(str, range(20)))
    configs: dict[str, list[Any]] = {
        "number": [LatexExtractionConfig(), ExprExtractionConfig()],
        "choice": [StringExtractionConfig(strings=letters)],
        "boolean": [StringExtractionConfig(strings=("yes", "no", "true", "false"))],
    }
    text = after_mark(case["text"], MARKS)
    if text is None:
        text = case["text"] if case["from"] == "gold" else ""
    found = parse(text, configs[case["format"]], fallback_mode="no_fallback", parsing_timeout=5)
    if case["expected"] is None or not found:
        return case["expected"] is None and not found
    if case["format"] == "boolean":
        return {"true": "yes", "false": "no"}.get(str(found[0]), str(found[0])) == case["expected"]
    if case["format"] == "choice":
        return str(found[0]).upper() == case["expected"]
    return bool(verify(parse(case["expected"]), found))


def score(name: str, read: Reader, cases: list[dict[str, Any]]) -> None:
    """Print how many cases of each format a reader has right, and its slowest case."""
    right: Counter[tuple[str, bool]] = Counter()
    slowest = 0.0
    for case in cases:
        started = time.perf_counter()
        try:
            correct = read(case)
        except Exception as error:  # a judge that raises would end a run
            correct = False
            print(f"{name}: {type(error).__name__} on {case['text'][:40]!r}", file=sys.stderr)
        slowest = max(slowest, time.perf_counter() - started)
        right[case["format"], case["expected"] is not None] += correct
    for form, answered in sorted({(case["format"], case["expected"] is not None) for case in cases}):
        asked = sum((case["format"], case["expected"] is not None) == (form, answered) for case in cases)
        kind = "one answer" if answered else "no answer, or two readings"
        print(f"| {name} | {form} | {kind} | {right[form, answered]} of {asked} |")
    print(f"| {name} | all | | {sum(right.values())} of {len(cases)}, slowest {slowest:.2f} s |")


@one_line_errors
def main() -> None:
    """Score both."""
    cases = [json.loads(line) for line in TABLE.read_text().splitlines()]
    cases = [case for case in cases if case["format"] != "text"]  # not what math-verify is for
    print("| reader | format | the table has | right |\n| --- | --- | --- | --- |")
    score("tasks.answers", ours, cases)
    try:
        import math_verify as _  # noqa: F401
    except ImportError as error:
        raise UserError("math-verify", "it is not installed", "pip install math-verify") from error
    score("math-verify", math_verify, cases)


if __name__ == "__main__":
    sys.exit(main())
