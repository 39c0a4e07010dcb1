"""Edits of a finished workspace that can be undone, including modification times."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Desk:
    """A workspace whose files are edited for one dry run and then put back as they were."""

    folder: Path
    before: dict[Path, tuple[bytes | None, int]] = field(default_factory=dict)
    moved: list[Path] = field(default_factory=list)

    def write(self, name: str, content: str | bytes) -> None:
        """Replace a file, or make a new one."""
        path = self._keep(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def append(self, name: str, text: str) -> None:
        """Add lines to the end of a file."""
        self.write(name, (self.folder / name).read_text() + text)

    def replace(self, name: str, old: str, new: str) -> None:
        """Replace the first occurrence of a text, which must be there."""
        text = (self.folder / name).read_text()
        assert old in text, f"{name} no longer holds {old!r}: fix the edit"
        self.write(name, text.replace(old, new, 1))

    def delete(self, name: str) -> None:
        """Delete a file."""
        self._keep(name).unlink()

    def cut(self, name: str) -> None:
        """Cut a file short, as a full disk would."""
        content = (self.folder / name).read_bytes()
        self.write(name, content[: len(content) // 2])

    def flip(self, name: str) -> None:
        """Change one byte in the middle of a file, which stays as long as it is."""
        content = bytearray((self.folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        self.write(name, bytes(content))

    def touch_everything(self) -> None:
        """Give every file the time of now."""
        for path in self.folder.rglob("*"):
            if path.is_file() and ".snakemake" not in path.parts:
                name = path.relative_to(self.folder).as_posix()
                os.utime(self._keep(name))

    def hide(self, name: str) -> None:
        """Take a folder away."""
        (self.folder / name).rename(self._hidden(name))
        self.moved.append(Path(name))

    def put_back(self) -> None:
        """Undo everything since the last time."""
        for name in self.moved:
            self._hidden(str(name)).rename(self.folder / name)
        for path, (content, time) in self.before.items():
            if content is None:
                path.unlink()
                continue
            path.write_bytes(content)
            os.utime(path, ns=(time, time))
        self.before, self.moved = {}, []

    def _keep(self, name: str) -> Path:
        path = self.folder / name
        if path not in self.before:
            there = path.is_file()
            self.before[path] = (path.read_bytes(), path.stat().st_mtime_ns) if there else (None, 0)
        return path

    def _hidden(self, name: str) -> Path:
        return self.folder / name.replace("/", "_").join((".hidden-", ""))
