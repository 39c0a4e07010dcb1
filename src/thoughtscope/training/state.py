"""The resumable state of a run: written whole or not at all, checked when read, the newest few kept.

It lives under `results/state/<digest of the run's settings>`, so that a run with changed settings never resumes from
it. Neither writing nor reading holds all of its tensors: they are stored in files of about `FILE_BYTES`, and each is
read when it is used. Knows nothing about what the tensors mean.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from thoughtscope.artifacts import MANIFEST, artifact_folder, damaged
from thoughtscope.errors import UserError

FILE_BYTES = 2**30


class Stored(Mapping[str, Tensor]):
    """Tensors in files, by name; each is read when it is used.

    Args:
        files: the file that holds each tensor, by its name there.
        prefix: what names in the files begin with, left out here; other tensors are left out.
    """

    def __init__(self, files: Mapping[str, Path], prefix: str = "") -> None:
        self._files = {name.removeprefix(prefix): path for name, path in files.items() if name.startswith(prefix)}
        self._prefix = prefix

    def __getitem__(self, name: str) -> Tensor:
        with safe_open(self._files[name], "pt") as file:
            tensor: Tensor = file.get_tensor(self._prefix + name)
            return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


@dataclass(frozen=True)
class State:
    """A saved state: plain values, and the file of each tensor by its name."""

    files: Mapping[str, Path]
    facts: dict[str, Any]

    @property
    def tensors(self) -> Stored:
        """All tensors, by name."""
        return Stored(self.files)

    def under(self, prefix: str) -> Stored:
        """Return the tensors whose names begin with `prefix`, named without it."""
        return Stored(self.files, prefix)


def save_state(
    folder: Path, step: int, tensors: Iterable[tuple[str, Tensor]], facts: dict[str, Any], keep: int
) -> None:
    """Write the state after `step` updates and remove all but the newest `keep`.

    Args:
        tensors: taken one after another; never more than a file's worth of them is held.
    """
    with artifact_folder(folder / f"step-{step:08d}", {}) as staging:
        for number, part in enumerate(_files(tensors)):
            _write(part, staging / f"tensors-{number:04d}.safetensors")
        (staging / "facts.json").write_text(json.dumps(facts))
    for old in _steps(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def _files(tensors: Iterable[tuple[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
    """Yield the tensors in order, on the CPU, as many at once as a file holds; clears each yielded part afterwards."""
    part: dict[str, Tensor] = {}
    held = 0
    for name, tensor in tensors:
        if part and held + tensor.nbytes > FILE_BYTES:
            yield part
            part.clear()
            held = 0
        part[name] = tensor.cpu().contiguous()
        held += tensor.nbytes
    yield part


def _write(tensors: dict[str, Tensor], path: Path) -> None:
    """Write tensors; a full disk raises `OSError`, which safetensors hides in an error of its own."""
    try:
        save_file(tensors, path)
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def newest(folder: Path, log: Any) -> Path | None:
    """Return the newest undamaged state, or None; `log` gets a line about each damaged one."""
    for path in reversed(_steps(folder)):
        try:
            wrong = damaged(path)
        except UserError:
            wrong = [MANIFEST]
        if wrong:
            log(f"state {path.name} is damaged ({', '.join(wrong)}): going back to the one before")
            continue
        return path
    return None


def load_state(path: Path) -> State:
    """Load a state that `newest` returned."""
    files: dict[str, Path] = {}
    for tensors in sorted(path.glob("tensors-*.safetensors")):
        with safe_open(tensors, "pt") as file:
            files |= dict.fromkeys(file.keys(), tensors)
    return State(files, json.loads((path / "facts.json").read_text()))


def _steps(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))
