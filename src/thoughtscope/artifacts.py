"""Artifacts: folders and files that appear whole or not at all, each with a manifest of its content.

Knows nothing about what is inside. `manifest.json` (content only) is what rules depend on;
`provenance.json` beside it says what made it and is never an input.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from thoughtscope.errors import UserError

MANIFEST, PROVENANCE = "manifest.json", "provenance.json"


@contextmanager
def artifact_folder(target: Path, provenance: dict[str, Any]) -> Iterator[Path]:
    """Yield a staging folder; on success give it a manifest and move it to `target`, replacing what was there.

    If the body raises, or the process dies, `target` stays as it was.
    """
    target = Path(target)
    staging = target.with_name(f".{target.name}.partial-{os.getpid()}")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        yield staging
        write_json(staging / PROVENANCE, provenance)
        write_json(staging / MANIFEST, describe(staging))
        old = target.with_name(f".{target.name}.old-{os.getpid()}")
        if target.exists():
            os.replace(target, old)
        os.replace(staging, target)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def artifact_files(*targets: Path) -> Iterator[tuple[Path, ...]]:
    """Yield one staging path for each target file (same suffix, same folder); on success rename them all."""
    staged = tuple(path.with_name(f".partial-{os.getpid()}-{path.name}") for path in map(Path, targets))
    for path in staged:
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield staged
        for path, target in zip(staged, targets, strict=True):
            os.replace(path, target)
    finally:
        for path in staged:
            path.unlink(missing_ok=True)


def describe(folder: Path) -> dict[str, Any]:
    """Return the manifest of `folder`: for each file its bytes, sha256 and, for Parquet, its rows."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    kept = [path for path in paths if path.name not in {MANIFEST, PROVENANCE}]
    return {"files": {path.relative_to(folder).as_posix(): _describe_file(path) for path in kept}}


def _describe_file(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    if path.suffix == ".parquet":
        facts["rows"] = pq.read_metadata(path).num_rows
    return facts


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damaged(folder: Path) -> list[str]:
    """Return the files of an artifact that its manifest does not describe truly: missing or altered, by name.

    Raises:
        UserError: there is no readable manifest.
    """
    path = folder / MANIFEST
    try:
        files = json.loads(path.read_text())["files"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(str(path), "no readable manifest", "run the stage that makes this folder") from error
    return [name for name, facts in files.items() if not _intact(folder / name, facts)]


def _intact(path: Path, facts: dict[str, Any]) -> bool:
    return path.is_file() and path.stat().st_size == facts["bytes"] and sha256(path) == facts["sha256"]


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON with sorted keys."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
