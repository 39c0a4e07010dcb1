"""Finds artifacts that stand there but cannot be taken as they are: damaged, or unknown to Snakemake.

Looks at names and sizes only, so that it can be asked whenever the workflow is parsed.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from pathlib import Path

from thoughtscope.upkeep.judge import damage
from thoughtscope.upkeep.plan import Planned

RECORDS = Path(".snakemake/metadata")
UNRECORDED = "Snakemake has no record of how it was made"


def distrusted(planned: Iterable[Planned]) -> dict[Path, str]:
    """Return the artifacts whose files are there but not all as they were made, or without a record; and why."""
    found = {}
    for one in planned:
        there = [path for path in one.outputs if path.is_file()]
        if not there:
            continue
        missing = [f"{path.name} is missing" for path in one.outputs if path not in there]
        if not all(recorded(path) for path in there):
            found[one.path] = UNRECORDED
        elif wrong := missing + damage(one):
            found[one.path] = "; ".join(wrong)
    return found


def recorded(output: Path) -> bool:
    """Return whether Snakemake has a record of how an output was made (it names them in base 64, in pieces)."""
    name = urlsafe_b64encode(output.as_posix().encode()).decode()
    size = _longest_name() - 1
    pieces = [name[start : start + size] for start in range(0, len(name), size)]
    return RECORDS.joinpath(*(f"@{piece}" for piece in pieces[:-1]), pieces[-1]).is_file()


def _longest_name() -> int:
    return os.pathconf(".", "PC_NAME_MAX") or 255
