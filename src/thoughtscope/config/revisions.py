"""Which commit each hub id stands for: `revisions.lock.yaml` beside the small files, written by `make pin`.

A small file of `backbones/` or `tasks/` names a hub id in any of its mappings; where `revision` beside it is null, the
locked commit stands in. So a study loads the same bytes tomorrow, and a new commit is a change that reruns its stages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from thoughtscope.config.parse import parse, read_yaml
from thoughtscope.settings import Commit, Strict

LOCK = "revisions.lock.yaml"
KINDS = {"backbones": "models", "tasks": "datasets"}


class Lock(Strict):
    """The commits of hub ids, as they were when they were pinned."""

    models: dict[str, Commit] = {}
    datasets: dict[str, Commit] = {}


def read_lock(folder: Path) -> Lock:
    """Read the lock of a folder of small files; an empty one if there is none.

    Raises:
        UserError: it is no such file.
    """
    path = folder / LOCK
    return parse(Lock, read_yaml(path), str(path)) if path.is_file() else Lock()


def with_revisions(raw: Any, commits: Mapping[str, str]) -> Any:
    """Return settings in which each hub id without a revision has its locked one, if there is one."""
    if isinstance(raw, Mapping):
        filled = {key: with_revisions(value, commits) for key, value in raw.items()}
        hub_id = filled.get("hub_id")
        if hub_id in commits and filled.get("revision") is None:
            filled["revision"] = commits[str(hub_id)]
        return filled
    return [with_revisions(one, commits) for one in raw] if isinstance(raw, list) else raw


def unpinned(raw: Any) -> Iterator[str]:
    """Yield the hub ids of settings that have no revision."""
    if isinstance(raw, Mapping):
        if raw.get("hub_id") and raw.get("revision") is None:
            yield str(raw["hub_id"])
        for value in raw.values():
            yield from unpinned(value)
    elif isinstance(raw, list):
        for one in raw:
            yield from unpinned(one)
