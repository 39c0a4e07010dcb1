"""Which commit each hub id stands for: `revisions.lock.yaml` beside the small files, written by `make pin`.

Settings name a hub id wherever they hold a `settings.Hosted`; where its `revision` is null, it takes the locked commit.
So a study loads the same bytes tomorrow, and a new commit is a change that reruns its stages.
"""

from __future__ import annotations

from pathlib import Path

from thoughtscope.parsing import parse, read_yaml
from thoughtscope.settings import Commit, Strict

LOCK = "revisions.lock.yaml"
KINDS = {"backbones": "models", "tasks": "datasets"}


class Lock(Strict):
    """The commits of hub ids, as they were when they were pinned."""

    models: dict[str, Commit] = {}
    datasets: dict[str, Commit] = {}

    def commits(self, group: str) -> dict[str, str]:
        """Return the commits for the small files of a group; none for a group that loads nothing from a hub."""
        found: dict[str, str] = getattr(self, KINDS[group]) if group in KINDS else {}
        return found


def read_lock(folder: Path) -> Lock:
    """Read the lock of a folder of small files; an empty one if there is none.

    Raises:
        UserError: it is no such file.
    """
    path = folder / LOCK
    return parse(Lock, read_yaml(path), str(path)) if path.is_file() else Lock()
