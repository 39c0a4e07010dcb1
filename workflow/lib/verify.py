"""Hashes every artifact and finds files that were deleted, altered or added since it was made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from thoughtscope.artifacts import MANIFEST, sha256, wrong_with
from thoughtscope.errors import UserError
from workflow.lib.found import Found, found


@dataclass(frozen=True, order=True)
class Fault:
    """A file that differs from the manifest of its artifact."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


def faults(results: Path) -> list[Fault]:
    """Return every file below `results` that differs from its manifest, sorted by path."""
    with ThreadPoolExecutor() as pool:
        return sorted(fault for some in pool.map(lambda one: list(_faults(one)), found(results)) for fault in some)


def _faults(artifact: Found) -> Iterator[Fault]:
    try:
        files = artifact.files()
    except UserError as error:
        there = artifact.manifest.exists()
        yield Fault(str(artifact.manifest), error.problem if there else "deleted, or never written")
        return
    for name, facts in files.items():
        if problem := wrong_with(artifact.base / name, facts):
            yield Fault(str(artifact.base / name), problem)
    for name in sorted(set(artifact.there()) - set(files)):
        yield Fault(str(artifact.base / name), "added: no program wrote it")
    if artifact.manifest.name == MANIFEST:
        yield from _manifest_faults(artifact)


def _manifest_faults(artifact: Found) -> Iterator[Fault]:
    """Yield a fault if the manifest was edited: its digest differs from the one in the provenance."""
    try:
        written = json.loads(artifact.provenance.read_text())
    except (OSError, ValueError):
        yield Fault(str(artifact.provenance), "deleted or unreadable")
        return
    if written.get("manifest", "") != sha256(artifact.manifest):
        yield Fault(str(artifact.manifest), "altered: its digest differs from the one in provenance.json")
