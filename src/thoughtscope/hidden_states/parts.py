"""An extraction in parts: each is written whole or not at all, so what is finished stays, and processes share the rest.

    <folder>/part-0003/kind=output/layer=3/part.parquet    a finished part of an extraction that is not
    kind=output/layer=3/part-0003.parquet                  the same in the artifact

Which part holds what does not depend on the processes. Knows nothing about models.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from thoughtscope.artifacts import MANIFEST, PROVENANCE, artifact_folder, is_whole

PARTS = ".parts"  # folder of the parts of an extraction that is not interrupted


@dataclass(frozen=True)
class Parts:
    """The parts of an extraction that a process computes: every `ranks`-th, starting with its own `rank`.

    Args:
        folder: where finished parts are kept.
        batches: of a part.
    """

    folder: Path
    rank: int = 0
    ranks: int = 1
    batches: int = 8

    def missing(self, count: int) -> list[int]:
        """Return which parts of `count` this process has to compute: those that are not there, or damaged."""
        return [number for number in range(self.rank, count, self.ranks) if not is_whole(self._folder(number))]

    def write(self, number: int) -> AbstractContextManager[Path]:
        """Return a context with the folder in which to write a part; it becomes the part when the context ends."""
        return artifact_folder(self._folder(number), {})

    def collect(self, target: Path) -> None:
        """Put all parts into `target`: partitions get a file of each part, other tables and facts become one file.

        The parts stay, so that an interruption before `target` is finished costs nothing; see `discard`.
        """
        for part in sorted(self.folder.glob("part-*")):
            for folder in part.glob("kind=*"):
                (target / folder.name).mkdir(exist_ok=True)
            for file in sorted(part.glob("kind=*/layer=*/*.parquet")):
                place = target / file.parent.relative_to(part)
                place.mkdir(exist_ok=True)
                _link(file, place / f"{part.name}.parquet")
            for file in part.glob("*.json"):
                if file.name not in (MANIFEST, PROVENANCE):
                    _link(file, target / file.name)
        tables = {file.name for file in self.folder.glob("part-*/*.parquet")}
        for name in sorted(tables):
            _join(sorted(self.folder.glob(f"part-*/{name}")), target / name)

    def discard(self) -> None:
        """Delete the parts, once what they were collected into is finished."""
        shutil.rmtree(self.folder)

    def _folder(self, number: int) -> Path:
        return self.folder / f"part-{number:04d}"


def _link(file: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system cannot."""
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)


def _join(files: Iterable[Path], target: Path) -> None:
    """Write the rows of Parquet files with the same columns into one."""
    writer = None
    try:
        for file in files:
            table = pq.read_table(file, partitioning=None)
            writer = writer or pq.ParquetWriter(target, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
