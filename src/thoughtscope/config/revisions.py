"""The commit of each hub id: `revisions.lock.yaml` in the config folder, written by `make pin`.

A `settings.Hosted` without `revision` has the locked commit of its hub id. So a study always loads the same bytes, and
a new commit in the lock reruns what depends on it.
"""

from __future__ import annotations

from pathlib import Path

from thoughtscope.parsing import parse, read_yaml
from thoughtscope.settings import Commit, Strict

LOCK = "revisions.lock.yaml"
KINDS = {"backbones": "models", "tasks": "datasets"}


class Lock(Strict):
    """The locked commits of hub ids."""

    models: dict[str, Commit] = {}
    datasets: dict[str, Commit] = {}

    def commits(self, group: str) -> dict[str, str]:
        """Return the commits for a group of small files; empty for a group that loads nothing from a hub."""
        found: dict[str, str] = getattr(self, KINDS[group]) if group in KINDS else {}
        return found


def read_lock(folder: Path) -> Lock:
    """Read the lock in the config folder; an empty lock if there is none.

    Raises:
        UserError: the file is no lock.
    """
    path = folder / LOCK
    return parse(Lock, read_yaml(path), str(path)) if path.is_file() else Lock()
