"""Artifacts: folders and files that are written completely or not at all, each with a manifest of its content.

Other artifacts depend on `manifest.json`, which has only sizes and digests. `provenance.json` records how the artifact
was made and is never an input. A table or figure is not a folder; it has both in one file, `<name>.provenance.json`.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from thoughtscope.errors import UserError

MANIFEST, PROVENANCE = "manifest.json", "provenance.json"


@contextmanager
def artifact_folder(target: Path, provenance: dict[str, Any]) -> Iterator[Path]:
    """Yield a staging folder; on success, add a manifest and rename it to `target`, replacing an older artifact.

    If the body raises an exception, or the process is killed, `target` does not change.
    """
    target = Path(target)
    staging = target.with_name(f".{target.name}.partial-{os.getpid()}")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        yield staging
        write_json(staging / MANIFEST, describe(staging))
        manifest = {"manifest": sha256(staging / MANIFEST)}
        write_json(staging / PROVENANCE, {**provenance, **manifest, "finished": _now()})
        old = target.with_name(f".{target.name}.old-{os.getpid()}")
        if target.exists():
            os.replace(target, old)
        os.replace(staging, target)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def artifact_files(*targets: Path, provenance: dict[str, Any] | None = None) -> Iterator[tuple[Path, ...]]:
    """Yield a staging path for each target file (same suffix, same folder); on success, rename all of them.

    Args:
        provenance: written next to the targets with their digests, see `record_of`; None: not written.
    """
    goals = [Path(path) for path in targets]
    record = [record_of(goals[0])] if provenance is not None else []
    staged = tuple(path.with_name(f".partial-{os.getpid()}-{path.name}") for path in [*goals, *record])
    for path in staged:
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield staged[: len(goals)]
        if provenance is not None:
            files = {goal.name: _describe_file(path) for goal, path in zip(goals, staged, strict=False)}
            write_json(staged[-1], {**provenance, "files": files, "finished": _now()})
        for path, target in zip(staged, [*goals, *record], strict=True):
            os.replace(path, target)
    finally:
        for path in staged:
            path.unlink(missing_ok=True)


def record_of(file: Path) -> Path:
    """Return the provenance file of a table or figure, which all its formats share."""
    return file.with_name(f"{file.stem}.{PROVENANCE}")


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def describe(folder: Path) -> dict[str, Any]:
    """Return the manifest of `folder`: bytes and sha256 of each file, and rows of Parquet files."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    kept = [path for path in paths if path.name not in {MANIFEST, PROVENANCE}]
    return {"files": {path.relative_to(folder).as_posix(): _describe_file(path) for path in kept}}


def _describe_file(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq  # slow to import, and launchers import this module

        facts["rows"] = pq.read_metadata(path).num_rows
    return facts


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """Return a hash of a JSON value (16 hexadecimal digits) that does not depend on the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def damaged(folder: Path) -> list[str]:
    """Return the names of the files of an artifact that are missing or differ from its manifest.

    Raises:
        UserError: there is no readable manifest.
    """
    return [name for name, facts in read_files(folder / MANIFEST).items() if wrong_with(folder / name, facts)]


def is_whole(folder: Path) -> bool:
    """Return whether a folder is a finished artifact, all files as its manifest has them."""
    try:
        return not damaged(folder)
    except UserError:  # no readable manifest
        return False


def input_digests(folders: Iterable[Path]) -> dict[str, str]:
    """Return the digest of the manifest of each input, by folder, for the provenance of an artifact.

    Raises:
        UserError: a folder has no manifest, so it is not an artifact.
    """
    digests = {}
    for folder in folders:
        if not (folder / MANIFEST).is_file():
            raise UserError(str(folder), f"it has no {MANIFEST}", "give the folder of a finished artifact")
        digests[folder.as_posix()] = sha256(folder / MANIFEST)
    return digests


def read_files(path: Path) -> dict[str, dict[str, Any]]:
    """Return the files that a manifest, or the provenance of a table or figure, lists, with their sizes and digests.

    Raises:
        UserError: the manifest is missing or cannot be parsed.
    """
    try:
        files: dict[str, dict[str, Any]] = json.loads(path.read_text())["files"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(str(path), "no readable manifest", "run the stage that makes this folder") from error
    return files


def wrong_with(path: Path, facts: dict[str, Any]) -> str | None:
    """Return in a few words how a file differs from its entry in a manifest; None if it does not."""
    if not path.is_file():
        return "deleted"
    size = path.stat().st_size
    if size != facts["bytes"]:
        return f"altered: {size} bytes instead of {facts['bytes']}"
    if sha256(path) != facts["sha256"]:
        return "altered: as long as before, with other content"
    return None


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON with sorted keys."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
