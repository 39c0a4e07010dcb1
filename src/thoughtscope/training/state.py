"""The resumable state of a run: written completely or not at all, and checked when it is read.

It is in `results/state/<digest of the settings>`, so that a run with changed settings never resumes from it. Tensors
are stored in files of about `FILE_BYTES` and read when they are used, so neither writing nor reading holds all of them.
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
    """Tensors in files, by name; a tensor is read when it is used.

    Args:
        files: the file that holds each tensor, by its name there.
        prefix: of the names in the files, removed here; tensors without it are left out.
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
    """A saved state: plain values, and the file of each named tensor."""

    files: Mapping[str, Path]
    facts: dict[str, Any]

    @property
    def tensors(self) -> Stored:
        """All tensors, by name."""
        return Stored(self.files)

    def under(self, prefix: str) -> Stored:
        """Return the tensors whose names start with `prefix`, without the prefix."""
        return Stored(self.files, prefix)


def save_state(
    folder: Path, step: int, tensors: Iterable[tuple[str, Tensor]], facts: dict[str, Any], keep: int
) -> None:
    """Write the state after `step` updates and remove all but the newest `keep`.

    Args:
        tensors: consumed one by one; at most those of one file are held.
    """
    with artifact_folder(folder / f"step-{step:08d}", {}) as staging:
        for number, part in enumerate(_files(tensors)):
            _write(part, staging / f"tensors-{number:04d}.safetensors")
        (staging / "facts.json").write_text(json.dumps(facts))
    for old in _steps(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def _files(tensors: Iterable[tuple[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
    """Yield the tensors of each file, in order and on the CPU; each yielded dictionary is cleared afterwards."""
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
    """Write tensors to a file; raise `OSError` for a full disk, which safetensors reports as its own error."""
    try:
        save_file(tensors, path)
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def newest(folder: Path, log: Any) -> Path | None:
    """Return the newest undamaged state, or None; `log` is called with a line for each damaged one."""
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
