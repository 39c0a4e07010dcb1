"""Locks hub ids to their current commits. Commits that are already locked do not change; delete a line to update it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError

from thoughtscope.artifacts import artifact_files
from thoughtscope.config.load import Study
from thoughtscope.config.revisions import KINDS, LOCK, read_lock
from thoughtscope.hub import hub_error

HEAD = "# The commit of each hub id, as `make pin` found it. Delete a line and run it again to take the newest.\n"


def pin_revisions(study: Study, folder: Path) -> None:
    """Write the commit of every hub id that the study names without a revision to the lock in `folder`.

    Raises:
        UserError: a hub id does not exist or is private, or the hub cannot be reached.
    """
    lock = read_lock(folder).model_dump()
    for group, kind in KINDS.items():
        for name in study.named(group):
            for hub_id in [str(one.hub_id) for one in study.hosted(group, name) if one.revision is None]:
                lock[kind][hub_id] = commit(kind, hub_id, study.file(group, name))
    with artifact_files(folder / LOCK) as (staged,):
        staged.write_text(HEAD + yaml.safe_dump(lock, sort_keys=True))
    print(f"{folder / LOCK}: {sum(map(len, lock.values()))} hub ids pinned")


def commit(kind: str, hub_id: str, where: str) -> str:
    """Return the newest commit of a model or dataset, and print it, with a note on access if it is gated.

    Raises:
        UserError: it does not exist or is private, or the hub cannot be reached.
    """
    hub = HfApi()
    try:
        info: Any = hub.model_info(hub_id) if kind == "models" else hub.dataset_info(hub_id)
        access = "" if not info.gated else _gate(hub, kind, hub_id)
    except Exception as error:
        raise hub_error(f"{where}: hub_id", hub_id, None, error) from error
    print(f"{hub_id}  {info.sha}{access}")
    return str(info.sha)


def _gate(hub: HfApi, kind: str, hub_id: str) -> str:
    try:
        hub.auth_check(hub_id, repo_type=kind.removesuffix("s"))
    except GatedRepoError:
        return f"  gated: accept its terms on huggingface.co/{hub_id} and log in (hf auth login)"
    return "  gated, access granted"
