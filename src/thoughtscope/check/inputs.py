"""Prepares the inputs of a study like the workflow does, but without pre-training: tasks and backbones."""

from __future__ import annotations

import shutil
from pathlib import Path

from huggingface_hub import get_token

from thoughtscope import schemas
from thoughtscope.backbones.make import make_tiny, refer
from thoughtscope.config.analysis import check_statements, statements_of
from thoughtscope.config.load import Study
from thoughtscope.errors import UserError
from thoughtscope.tasks.prepare import EXAMPLES, write_task


def prepare_tasks(study: Study, folder: Path) -> dict[str, dict[str, int]]:
    """Write every task of `study` below `folder`; return the sizes of its splits.

    Raises:
        UserError: as `write_task` does: a dataset that cannot be read, columns, answers, splits.
    """
    sizes = {}
    for name in study.named("tasks"):
        place = folder / name
        place.mkdir(parents=True)
        sizes[name] = write_task(name, study.task(name), place)
    return sizes


def find_backbones(study: Study, tasks: Path, folder: Path) -> None:
    """Make a folder for every backbone: a tiny one is built and trained for one update, a given one is loaded once.

    Raises:
        UserError: a model that is missing, gated or incomplete, or a prompt that its template refuses.
    """
    for name in study.named("backbones"):
        settings, place = study.backbone(name), folder / name
        place.mkdir(parents=True)
        if settings.source == "tiny":
            once = study.pretraining(name).model_copy(update={"updates": 1})
            make_tiny(settings, once, 0, [tasks / task for task in once.tasks], place, f"backbone {name}")
        else:
            check_access(study, name)
            refer(settings, place)


def check_figures(study: Study, tasks: Path) -> None:
    """Refuse figures of probed statements that name something which these lack.

    Raises:
        UserError: a question or an attribute that no displayed statement has.
    """
    for figure in study.config.figures:
        if task := statements_of(study, figure):
            check_statements(study, figure, schemas.read(tasks / task / EXAMPLES, schemas.STATEMENTS).to_pylist())


def check_access(study: Study, backbone: str) -> None:
    """Refuse a gated model if there is no access token.

    Raises:
        UserError: no token.
    """
    settings = study.backbone(backbone)
    if settings.source == "hub" and settings.facts.gated and get_token() is None:
        raise UserError(
            f"{study.file('backbones', backbone)}: hub_id",
            f"{settings.hub_id} is gated and there is no token",
            "accept its terms on the hub, then run hf auth login or set HF_TOKEN",
        )


def check_disk(place: Path, needed: float) -> None:
    """Refuse a study whose models and states do not fit on the disk.

    Args:
        needed: bytes.

    Raises:
        UserError: less is free at `place`.
    """
    place.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(place).free
    if needed > free:
        raise UserError(
            str(place),
            f"the runs need about {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free",
            "make room, or lower training.keep_checkpoints and training.keep_states",
        )
