"""Finds the artifacts in a results folder, whatever the config says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thoughtscope.artifacts import MANIFEST, PROVENANCE, read_files

TIMESTAMP = ".snakemake_timestamp"  # Snakemake writes it to each folder that a rule declares
FILES = ("tables", "figures")
NO_ARTIFACTS = ("benchmarks", "logs", "state", "tensorboard", "tokens")


@dataclass(frozen=True)
class Found:
    """An artifact on disk.

    Attributes:
        name: its path below the results folder; a table's or figure's without suffix.
        base: the folder that the names of its files are relative to.
        manifest: the file that describes its content.
        provenance: the file that says what made it.
    """

    name: str
    base: Path
    manifest: Path
    provenance: Path

    def files(self) -> dict[str, dict[str, Any]]:
        """Return each file of its manifest, with size and digest.

        Raises:
            UserError: the manifest cannot be read.
        """
        return read_files(self.manifest)

    def there(self) -> Iterator[str]:
        """Yield the names of its files on disk, without manifest and provenance."""
        if self.manifest.name == MANIFEST:
            paths = (path for path in self.base.rglob("*") if path.is_file())
            own = {self.manifest, self.provenance}
            there = (path for path in paths if path not in own and path.name != TIMESTAMP)
            yield from (path.relative_to(self.base).as_posix() for path in there)
        else:
            stem = Path(self.name).name
            paths = (path for path in self.base.glob(f"{stem}.*") if path != self.manifest)
            yield from (path.name for path in paths if _stem(path) == stem)


def found(results: Path) -> list[Found]:
    """Return every artifact below `results`: folders, tables, figures. Unfinished and hidden folders do not count."""
    return [*_folders(results), *_files(results)]


def _folders(results: Path) -> Iterator[Found]:
    groups = [path for path in results.iterdir() if path.is_dir() and path.name not in {*FILES, *NO_ARTIFACTS}]
    for group in sorted(groups):
        marks = (path for name in (MANIFEST, PROVENANCE) for path in group.rglob(name))
        for folder in sorted({path.parent for path in marks}):
            name = folder.relative_to(results)
            if not any(part.startswith(".") for part in name.parts):
                yield Found(name.as_posix(), folder, folder / MANIFEST, folder / PROVENANCE)


def _files(results: Path) -> Iterator[Found]:
    for group in FILES:
        stems = {_stem(path) for path in (results / group).glob("[!.]*") if path.is_file()}
        for stem in sorted(stems):
            record = results / group / f"{stem}.{PROVENANCE}"
            yield Found(f"{group}/{stem}", results / group, record, record)


def _stem(path: Path) -> str:
    """Return the name of the table or figure that a file belongs to."""
    return path.name.removesuffix(f".{PROVENANCE}") if path.name.endswith(f".{PROVENANCE}") else path.stem
