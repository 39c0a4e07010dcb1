"""Hashes every artifact anew and names what is not as it was made: deleted, altered, added or without a record."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from thoughtscope.artifacts import MANIFEST, sha256, wrong_with
from thoughtscope.errors import UserError, one_line_errors
from thoughtscope.upkeep.find import Found, found
from thoughtscope.upkeep.judge import left_out


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that is not as it was made."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


def faults(results: Path) -> list[Fault]:
    """Return everything below `results` that is not as its manifest says, sorted by path."""
    with ThreadPoolExecutor() as pool:
        return sorted(fault for some in pool.map(lambda one: list(_faults(one)), found(results)) for fault in some)


def _faults(artifact: Found) -> Iterator[Fault]:
    try:
        files = artifact.files()
    except UserError as error:
        there = artifact.manifest.exists()
        yield Fault(str(artifact.manifest), error.problem if there else "deleted, or never written")
        return
    left = left_out(Path("results") / artifact.name)
    for name, facts in files.items():
        problem = wrong_with(artifact.base / name, facts)
        if problem and not (problem == "deleted" and name in left):
            yield Fault(str(artifact.base / name), problem)
    for name in sorted(set(artifact.there()) - set(files)):
        yield Fault(str(artifact.base / name), "added: no stage wrote it")
    if artifact.manifest.name == MANIFEST:
        yield from _manifest_faults(artifact)


def _manifest_faults(artifact: Found) -> Iterator[Fault]:
    """Yield a fault if the manifest itself is not the one that the provenance was written beside."""
    try:
        written = json.loads(artifact.provenance.read_text())
    except (OSError, ValueError):
        yield Fault(str(artifact.provenance), "deleted or unreadable")
        return
    if written.get("manifest", "") != sha256(artifact.manifest):
        yield Fault(str(artifact.manifest), "altered: not the manifest that its provenance.json was written beside")


@one_line_errors
def main() -> int:
    """Name every fault; end with 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"))
    results = parser.parse_args().results
    if not results.is_dir():
        raise UserError(str(results), "no such folder", "run the workflow first: make run")
    wrong = faults(results)
    for fault in wrong:
        print(fault)
    verdict = f"{len(wrong)} files are not as they were made" if wrong else "all as they were made"
    print(f"{len(found(results))} artifacts: {verdict}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
