"""Explains why artifacts would rerun, one line for each change, from the reasons of a dry run of Snakemake."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from thoughtscope.arguments import settings_of
from workflow.lib.jobs import Job

LONGEST = 60  # characters of a value
FOLLOWS = "Input files updated by another job"
PARAMS = re.compile(r"Params have changed since last execution: .*?before: (?P<groups>.*?) ?$", re.S)
NOW = " now: "
NOTHING = "<nothing exclusive>"


def explain(jobs: Sequence[Job]) -> Iterator[str]:
    """Yield a line for each reason of each job, then one for the jobs that run only because others do."""
    following = []
    for job in jobs:
        words = reasons(job.reason)
        yield from (f"{job.message}: {word}" for word in words)
        following += [] if words else [job.message]
    if following:
        yield f"because of that also: {', '.join(following)}"


def reasons(reason: str) -> list[str]:
    """Return the settings, modules and packages that changed, and other reasons in Snakemake's words.

    The reason that another job makes an input is left out.
    """
    found = PARAMS.search(reason)
    others = reason[: found.start()] if found else reason
    words = [word for word in others.split("; ") if word.strip() and not word.startswith(FOLLOWS)]
    return [*words, *(changes(*_before_and_now(found["groups"])) if found else ())]


def _before_and_now(groups: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the params before and after the change. They are separated by a word that may also occur in a value."""
    for place in re.finditer(NOW, groups):
        try:
            return _merged(groups[: place.start()]), _merged(groups[place.end() :])
        except SyntaxError:
            continue
    raise ValueError(f"no groups of params before and now: {groups}")


def _merged(listed: str) -> dict[str, Any]:
    """Merge groups of params from Snakemake's list of Python literals."""
    groups = [] if listed == NOTHING else ast.literal_eval(f"[{listed}]")
    return {name: value for group in groups for name, value in group.items()}


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield the differences between two mappings of groups of params."""
    yield from _settings(settings_of(before), settings_of(now))
    yield from _sources(before.get("sources", {}), now.get("sources", {}))
    for package, old, new in _differing(before.get("pins", {}), now.get("pins", {})):
        yield f"package {package} {old or 'not used'} -> {new or 'not used'}"


def _settings(before: Any, now: Any, where: str = "") -> Iterator[str]:
    """Yield each difference by its dotted key, e.g. `training.updates 16 -> 17`."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key, old, new in _differing(before, now):
            yield from _settings(old, new, f"{where}.{key}" if where else key)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, (old, new) in enumerate(zip(before, now, strict=True)):
            yield from _settings(old, new, f"{where}[{index}]")
    elif before != now:
        yield f"{where} {_short(before)} -> {_short(now)}"


def _sources(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    names: dict[str, list[str]] = {"the code of {} changed": [], "it now imports {}": [], "it no longer imports {}": []}
    changed, added, dropped = names.values()
    for name, old, new in _differing(before, now):
        (added if old is None else dropped if new is None else changed).append(name)
    yield from (words.format(", ".join(modules)) for words, modules in names.items() if modules)


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield key, old and new value for each difference of two mappings; None for a key that is missing."""
    for key in {**before, **now}:
        if key not in before or key not in now or before[key] != now[key]:
            yield key, before.get(key), now.get(key)


def _short(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
