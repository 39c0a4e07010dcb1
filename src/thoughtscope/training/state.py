"""The resumable state of a run: written whole or not at all, checked when read, the newest few kept.

It lives under `results/state/<digest of the run's settings>`, so that a changed run never resumes a
foreign one. Knows nothing about what the tensors mean.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from thoughtscope.artifacts import MANIFEST, artifact_folder, damaged
from thoughtscope.errors import UserError


@dataclass(frozen=True)
class State:
    """What a run needs to go on: tensors by name, and plain facts."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def save_state(folder: Path, step: int, state: State, keep: int) -> None:
    """Write the state after `step` updates and remove all but the newest `keep`."""
    with artifact_folder(folder / f"step-{step:08d}", {}) as staging:
        _write(state.tensors, staging / "tensors.safetensors")
        (staging / "facts.json").write_text(json.dumps(state.facts))
    for old in _steps(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def _write(tensors: dict[str, Tensor], path: Path) -> None:
    """Write tensors; a full disk is an `OSError` here as everywhere."""
    try:
        save_file(tensors, path)
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def load_newest(folder: Path, log: Any) -> State | None:
    """Return the newest whole state, or None; a damaged one is named in a line and the one before is taken."""
    for path in reversed(_steps(folder)):
        try:
            wrong = damaged(path)
        except UserError:
            wrong = [MANIFEST]
        if wrong:
            log(f"state {path.name} is damaged ({', '.join(wrong)}): going back to the one before")
            continue
        return State(load_file(path / "tensors.safetensors"), json.loads((path / "facts.json").read_text()))
    return None


def _steps(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))


class Journal:
    """Rows that are appended and flushed one by one, and cut back to a saved step when a run resumes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, rows: list[dict[str, Any]]) -> None:
        """Append rows; each is on disk when this returns."""
        with self.path.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)

    def read(self) -> list[dict[str, Any]]:
        """Return all whole rows; a last line that was cut short is left out."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def cut(self, step: int) -> None:
        """Forget the rows of updates after `step`; with a negative step, all of them."""
        rows = [row for row in self.read() if row["step"] <= step]
        self.path.unlink(missing_ok=True)
        self.append(rows)
