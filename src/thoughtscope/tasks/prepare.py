"""Writes a task: examples and pre-training texts as Parquet, checked. Knows no kind of task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from thoughtscope import tables
from thoughtscope.artifacts import write_json
from thoughtscope.errors import UserError

EXAMPLES, PRETRAINING, CONTAMINATION = "task.parquet", "pretraining.parquet", "contamination.json"
SPLITS = {"reasoning": ("train", "validation", "test"), "statements": ("train", "test", "calibration")}


def write_task(name: str, module: ModuleType, settings: Any, folder: Path) -> dict[str, int]:
    """Write the task's tables into `folder` and return the number of examples in each split.

    Raises:
        UserError: an empty split, an id or a question that occurs twice, or an example without its answer.
    """
    rows = list(module.examples(settings))
    counted = getattr(module, "OVERLAP", "refused") == "counted"
    check(name, module.CONTRACT, rows, overlap=counted)
    if module.CONTRACT == "reasoning":
        rows = [{"answer_format": "text", **row} for row in rows]
    schema = tables.REASONING if module.CONTRACT == "reasoning" else tables.STATEMENTS
    tables.write(folder / EXAMPLES, schema, rows)
    tables.write(folder / PRETRAINING, tables.PRETRAINING, module.pretraining(settings))
    if counted:
        write_json(folder / CONTAMINATION, module.contamination(rows))
    return dict(Counter(row["split"] for row in rows))


def check(name: str, contract: str, rows: Sequence[dict[str, Any]], overlap: bool = False) -> None:
    """Refuse examples that break the contract; see `write_task`. With `overlap`, splits may share questions."""
    where = f"task {name}"
    there = {row["split"] for row in rows}
    for split in SPLITS[contract]:
        if split not in there:
            raise UserError(f"{where}: splits", f"split {split} is empty", "give it examples")
    for row_id, count in Counter(row["example_id"] for row in rows).items():
        if count > 1:
            raise UserError(f"{where}: example {row_id}", "the id occurs twice", "make ids unique")
    if contract == "reasoning":
        _check_reasoning(where, rows, overlap)


def _check_reasoning(where: str, rows: Sequence[dict[str, Any]], overlap: bool) -> None:
    seen: dict[str, str] = {}
    for row in rows:
        if not row["answer"].strip():
            raise UserError(f"{where}: example {row['example_id']}", "it has no answer", "complete or remove it")
        split = seen.setdefault(row["question"], row["split"])
        if split != row["split"] and not overlap:
            raise UserError(
                f"{where}: example {row['example_id']}",
                f"its question is in split {split} and in {row['split']}",
                "remove it from one of them",
            )
