"""TensorBoard's event files, written beside a run where `tensorboard` asks for them. Nothing reads them back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

AFFECTS_RESULTS = False
EVENTS_FOLDER = "THOUGHTSCOPE_EVENTS"  # names the folder for event files; not set: none are written


class Events:
    """The scalars of a run's journals as an event file of this start.

    Args:
        run: its name, a folder below the one that the environment names.
        active: whether this process writes.
    """

    def __init__(self, run: str, active: bool) -> None:
        folder = os.environ.get(EVENTS_FOLDER, "")
        self.folder = Path(folder) / run if folder and active else None
        self.writer: Any = None

    def start(self, step: int) -> None:
        """Begin after `step` updates: what earlier starts wrote of later updates is taken back."""
        if self.folder is None:
            return
        from torch.utils.tensorboard import SummaryWriter  # a second of imports, seldom asked for

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
