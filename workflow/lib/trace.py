"""Traces a figure or table back through every artifact it was made from to the tasks and their seeds.

Starts at the provenance in the figure (or next to a table) and follows the digests of the inputs' manifests. Reports
inputs that are missing or were replaced.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from thoughtscope.artifacts import MANIFEST, PROVENANCE, digest, record_of, sha256
from thoughtscope.errors import UserError

BROKEN = "the chain is broken here"


def read_record(file: Path) -> dict[str, Any]:
    """Return the provenance in a PNG, or next to any other file of a figure or table.

    Raises:
        UserError: there is none.
    """
    try:
        text = _inside(file) if file.suffix == ".png" else record_of(file).read_text()
        record: dict[str, Any] = json.loads(text)
    except (OSError, ValueError, KeyError, UnidentifiedImageError) as error:
        raise UserError(
            str(file), "it does not say what it was made from", "name a figure or table of results/"
        ) from error
    return record


def _inside(file: Path) -> str:
    with Image.open(file) as image:
        return str(image.info["Description"])


def trace(name: str, record: dict[str, Any], root: Path, depth: int = 0, seen: set[str] | None = None) -> Iterator[str]:
    """Yield a line for an artifact, then lines for everything that it was made from; each artifact once in full.

    Args:
        record: its provenance.
        root: the folder that the paths of inputs are relative to.
    """
    seen = set() if seen is None else seen
    indent = "  " * depth
    yield f"{indent}{name}: {_words(record)}"
    for path, expected in sorted(record.get("inputs", {}).items()):
        folder = root / path
        if not (folder / MANIFEST).is_file() or not (folder / PROVENANCE).is_file():
            yield f"{indent}  {path}: gone; {BROKEN}"
        elif sha256(folder / MANIFEST) != expected:
            yield f"{indent}  {path}: replaced by other content since; {BROKEN}"
        elif path in seen:
            yield f"{indent}  {path}: see above"
        else:
            seen.add(path)
            yield from trace(path, json.loads((folder / PROVENANCE).read_text()), root, depth + 1, seen)


def _words(record: dict[str, Any]) -> str:
    """Return a provenance as one line of text."""
    seeds = [f"{key} {value}" for key, value in _seeds(record.get("settings"))]
    seeds += [f"seed {record['seed']}"] if "seed" in record else []
    hardware, packages = record.get("hardware", {}), {**record.get("pins", {}), **_installed(record)}
    facts = [
        str(record.get("stage")),
        *seeds,
        f"sources {digest(record.get('sources', {}))}",
        *(f"{package} {version}" for package, version in packages.items()),
        *([f"{hardware['cpus']} x {hardware.get('processor') or hardware['machine']}"] if hardware else []),
        *([f"{record['threads']} threads"] if record.get("threads") else []),
        *([str(record["finished"])] if "finished" in record else []),
    ]
    return ", ".join(facts)


def _installed(record: dict[str, Any]) -> dict[str, str]:
    """Return the versions that were installed, of Python and the packages that could change the result."""
    named = {"python", *record.get("pins", {})}
    return {package: version for package, version in record.get("versions", {}).items() if package in named}


def _seeds(settings: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(settings, dict):
        for key, value in settings.items():
            place = f"{where}.{key}" if where else key
            if key == "seed":
                yield place, value
            yield from _seeds(value, place)
