"""Shares tasks and tiny backbones between studies: a folder of artifacts, found again by what they are made from.

Snakemake's own cache keeps declared outputs only, which for an artifact is its manifest. This one is used where
`THOUGHTSCOPE_CACHE` names a folder. What is taken from it is verified first.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from thoughtscope.artifacts import damaged
from thoughtscope.errors import UserError
from thoughtscope.provenance import digest

FOLDER = "THOUGHTSCOPE_CACHE"


def place(provenance: dict[str, Any]) -> Path | None:
    """Return where an artifact of this provenance is kept; None without a cache, or if its sources are not known."""
    if not os.environ.get(FOLDER) or not provenance["sources"]:
        return None
    made_from = {key: provenance[key] for key in ("stage", "settings", "sources", "pins")}
    inputs = sorted({**provenance.get("inputs", {}), **provenance.get("data", {})}.values())
    return Path(os.environ[FOLDER]) / str(provenance["stage"]) / digest({**made_from, "inputs": inputs})


def take(target: Path, provenance: dict[str, Any]) -> bool:
    """Copy an artifact from the cache to `target`, if it is there and whole; return whether it was."""
    kept = place(provenance)
    if kept is None or not _whole(kept):
        return False
    _copy(kept, target)
    return True


def keep(target: Path, provenance: dict[str, Any]) -> None:
    """Copy a finished artifact into the cache, if there is one."""
    kept = place(provenance)
    if kept is None or _whole(kept):
        return
    try:
        _copy(target, kept)
    except OSError:
        if not _whole(kept):  # or another study was faster
            raise


def _whole(folder: Path) -> bool:
    try:
        return not damaged(folder)
    except UserError:
        return False


def _copy(source: Path, target: Path) -> None:
    """Copy a folder so that it appears whole or not at all, replacing what was there."""
    staging = target.with_name(f".{target.name}.partial-{os.getpid()}")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(staging, ignore_errors=True)
    shutil.copytree(source, staging)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(staging, target)
