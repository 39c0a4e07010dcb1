"""The rows that a run records while it trains: metrics of updates, accuracies, predictions; also as TensorBoard events.

Each row is on disk when it is added. When a run resumes, rows after the saved update are dropped.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from thoughtscope.backbones.prompt import decoded
from thoughtscope.methods.minibatch import Reading
from thoughtscope.tasks.reasoning import SEPARATOR
from thoughtscope.training.events import Events

TABLES = ("metrics", "accuracy", "predictions", "samples")


class Records:
    """The tables of a run, one JSON line a row.

    Args:
        folder: of the tables; the same at every start of the run.
        run: its name.
        active: whether this rank writes.
    """

    def __init__(self, folder: Path, run: str, active: bool) -> None:
        self.folder, self.active, self.events = folder, active, Events(run, active)

    def start(self, step: int) -> None:
        """Begin to record after `step` updates."""
        self.events.start(step)

    def add(self, table: str, *rows: dict[str, Any]) -> None:
        """Append rows to a table."""
        if self.active:
            append(self._path(table), list(rows))
        for row in rows if table in ("metrics", "accuracy") else ():
            self.events.add("/".join([table, *(row[key] for key in ("split", "layout") if key in row)]), row)

    def read(self, table: str) -> list[dict[str, Any]]:
        """Return all rows of a table."""
        return read(self._path(table))

    def cut(self, step: int, measured: int) -> None:
        """Drop the metrics of updates after `step` and the measurements after `measured`; -1 drops all."""
        if self.active:
            for table in TABLES:
                cut(self._path(table), step if table == "metrics" else measured)

    def _path(self, table: str) -> Path:
        return self.folder / f"{table}.jsonl"


def reading_row(tokenizer: Any, reading: Reading) -> dict[str, Any]:
    """Return a reading as a row of `schemas.READINGS`, apart from the run."""
    texts = (decoded(tokenizer, ids).strip() for ids in (reading.step, reading.read))
    step, read = (text.removesuffix(SEPARATOR.strip()).strip() for text in texts)
    return {
        "example_id": reading.example.example_id,
        "step_index": reading.step_index,
        "step": step if reading.step else None,
        "reading": read,
        "correct": step == read if reading.step else None,
    }


def append(path: Path, rows: list[dict[str, Any]]) -> None:
    """Append rows to a file of JSON lines; they are on disk when this returns."""
    with path.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def read(path: Path) -> list[dict[str, Any]]:
    """Return all whole rows of a file; a last line that was cut short is left out, and a missing file has none."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def cut(path: Path, step: int) -> None:
    """Drop the rows of updates after `step`; with a negative step, all of them."""
    rows = [row for row in read(path) if row["step"] <= step]
    path.unlink(missing_ok=True)
    append(path, rows)
