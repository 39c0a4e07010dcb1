"""What a finished run holds: its schedule and the models that it kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thoughtscope.errors import UserError


def read_schedule(run: Path) -> dict[str, Any]:
    """Return a run's `schedule.json`, with its number of updates and the precision that it trained in.

    Raises:
        UserError: `run` is no folder of a finished run.
    """
    path = run / "schedule.json"
    try:
        schedule: dict[str, Any] = json.loads(path.read_text())
        return {**schedule, "updates": int(schedule["updates"]), "precision": str(schedule["precision"])}
    except (OSError, ValueError, KeyError) as error:
        raise UserError(str(path), "no readable schedule", "train the run again") from error


def checkpoints(run: Path, schedule: Mapping[str, Any]) -> dict[int, Path]:
    """Return the model folder of each kept checkpoint by its optimiser step, in order; the final model is the last."""
    kept = {int(path.name.removeprefix("step")): path for path in (run / "checkpoints").glob("step*")}
    return dict(sorted({**kept, schedule["updates"]: run / "model"}.items()))
