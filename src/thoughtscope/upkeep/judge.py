"""Compares an artifact on disk with the one that the workflow would make now, and says in words what differs."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from thoughtscope.artifacts import MANIFEST, read_files, sha256, wrong_with
from thoughtscope.errors import UserError
from thoughtscope.upkeep.plan import RESULTS, Planned

LEFT_OUT = RESULTS / "left_out.json"
LONGEST = 60  # characters of a value in a message


def reasons(planned: Planned, content: bool = False) -> list[str]:
    """Return why an artifact is not the one that would be made now; nothing if it is.

    Says nothing of inputs that will be made anew themselves.

    Args:
        content: hash every file; else only names and sizes are compared.
    """
    missing = [path.name for path in planned.outputs if not path.is_file()]
    if len(missing) == len(planned.outputs):
        return ["not made yet"]
    found = [f"{name} is missing" for name in missing]
    try:
        record = json.loads(planned.record.read_text())
    except (OSError, ValueError):
        return [*found, f"{planned.record.name} is missing or unreadable, so nobody knows what it was made from"]
    found += changes(record.get("settings"), planned.settings)
    found += _sources(record.get("sources", {}), planned.sources)
    found += _pins(record.get("pins", {}), planned.pins)
    found += _inputs(record.get("inputs", {}), planned)
    found += _data(record.get("data", {}), planned)
    if content and "manifest" in record and record["manifest"] != sha256(planned.path / MANIFEST):
        found.append(f"{MANIFEST} was altered")
    return found + damage(planned, content)


def damage(planned: Planned, content: bool = False) -> list[str]:
    """Return what was deleted or altered of an artifact's files since it was made.

    Args:
        content: hash every file; else a file of the right size passes.
    """
    folder = planned.record.parent
    described = planned.record if planned.rule in {"table", "figure"} else folder / MANIFEST
    try:
        files = read_files(described)
    except UserError as error:
        return [f"{described.name}: {error.problem}"]
    told = {path.name for path in planned.outputs if not path.is_file()} | left_out(planned.path)
    checked = {name: wrong_with(folder / name, facts, content) for name, facts in files.items()}
    return [f"{name} was {problem}" for name, problem in checked.items() if problem and _counts(problem, name in told)]


def _counts(problem: str, told: bool) -> bool:
    return not (told and problem == "deleted")


def left_out(artifact: Path) -> set[str]:
    """Return the files of an artifact that an archive left out, from where it was unpacked."""
    return set(_left_out().get(artifact.as_posix(), []))


@functools.cache
def _left_out() -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(LEFT_OUT.read_text()) if LEFT_OUT.is_file() else {}
    return found


def changes(before: Any, now: Any, where: str = "") -> list[str]:
    """Return each difference between two JSON values, e.g. ``learning_rate: 0.0001 -> 0.0002``, by its dotted key."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = [*before, *(key for key in now if key not in before)]
        pairs = ((before.get(key), now.get(key), f"{where}.{key}" if where else key) for key in keys)
        return [line for old, new, place in pairs for line in changes(old, new, place)]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = ((old, new, f"{where}[{i}]") for i, (old, new) in enumerate(zip(before, now, strict=True)))
        return [line for old, new, place in pairs for line in changes(old, new, place)]
    return [] if before == now else [f"`{where}` {_short(before)} -> {_short(now)}"]


def _short(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _sources(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    if not before:
        yield "it was made by hand, not by the workflow: no sources are recorded"
        return
    changed = [name for name, digest in now.items() if before.get(name, digest) != digest]
    for words, names in (
        ("the code of {} changed", changed),
        ("it now imports {}", [name for name in now if name not in before]),
        ("it no longer imports {}", [name for name in before if name not in now]),
    ):
        if names:
            yield words.format(", ".join(names))


def _pins(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for package in {**before, **now}:
        if before.get(package) != now.get(package):
            yield f"package {package} {before.get(package, 'unnamed')} -> {now.get(package, 'unnamed')}"


def _inputs(before: Mapping[str, str], planned: Planned) -> Iterator[str]:
    now = [path.as_posix() for path in planned.inputs]
    for words, names in (
        ("it is now also made from {}", [name for name in now if name not in before]),
        ("it is no longer made from {}", [name for name in before if name not in now]),
        ("{} has other content than what it was made from", [name for name in now if _replaced(name, before)]),
    ):
        if names:
            yield words.format(", ".join(names))


def _data(before: Mapping[str, str], planned: Planned) -> Iterator[str]:
    now = {str(path): sha256(path) for path in planned.data if path.is_file()}
    for name in {**before, **now}:
        if name not in now:
            yield f"{name} is gone or no longer read"
        elif before.get(name) != now[name]:
            yield f"{name} is read now" if name not in before else f"{name} has other content"


def _replaced(name: str, before: Mapping[str, str]) -> bool:
    manifest = Path(name) / MANIFEST
    return name in before and manifest.is_file() and sha256(manifest) != before[name]
