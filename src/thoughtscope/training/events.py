"""Writes TensorBoard event files during training if `tensorboard` is set. Nothing reads them back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

AFFECTS_RESULTS = False
EVENTS_FOLDER = "THOUGHTSCOPE_EVENTS"  # the folder for event files; unset: none are written


class Events:
    """Writes the numbers of a run's records to an event file, one for each start.

    Args:
        run: the path of the run, and of its folder below the one in the environment variable.
        active: whether this process writes.
    """

    def __init__(self, run: str, active: bool) -> None:
        folder = os.environ.get(EVENTS_FOLDER, "")
        self.folder = Path(folder) / run if folder and active else None
        self.writer: Any = None

    def start(self, step: int) -> None:
        """Start after `step` updates, and hide what earlier starts wrote about later updates."""
        if self.folder is None:
            return
        from torch.utils.tensorboard import SummaryWriter  # takes a second to import, and is rarely used

        if step == 0 and self.folder.is_dir():
            for file in self.folder.glob("events.out.tfevents.*"):
                file.unlink()
        self.writer = SummaryWriter(str(self.folder), purge_step=step + 1 if step else None)  # type: ignore[no-untyped-call]

    def add(self, kind: str, row: dict[str, Any]) -> None:
        """Write the numbers of a row, each as `kind/column`, at once."""
        if self.writer is None:
            return
        for column, value in row.items():
            if isinstance(value, int | float) and column != "step":
                self.writer.add_scalar(f"{kind}/{column}", value, row["step"])
        self.writer.flush()
