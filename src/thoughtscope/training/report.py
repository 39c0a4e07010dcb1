"""Prints the progress of a run: a progress bar in a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

AFFECTS_RESULTS = False


class Report:
    """Prints the progress of a run, on the first rank only.

    Args:
        run: its name.
        active: whether this process prints at all.
    """

    def __init__(self, run: str, active: bool) -> None:
        self.run, self.active = run, active
        self.console = Console(stderr=True)
        self.started = time.monotonic()
        self.first_step: int | None = None
        self.bar: Progress | None = None
        self.task: TaskID | None = None
        self.loss = self.accuracy = float("nan")
        if active and self.console.is_terminal:
            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("loss {task.fields[loss]:.3f}  accuracy {task.fields[accuracy]:.3f}"),
                TimeRemainingColumn(),
                console=self.console,
            )
            self.bar.start()
            self.task = self.bar.add_task(run, total=None, loss=self.loss, accuracy=self.accuracy)

    def line(self, text: str) -> None:
        """Print a line."""
        if not self.active:
            return
        if self.bar:
            self.bar.console.print(text)
        else:
            print(f"[{time.monotonic() - self.started:7.1f} s] {self.run}: {text}", file=sys.stderr, flush=True)

    def update(self, step: int, total: int, loss: float) -> None:
        """Print or show that an update has finished."""
        self.loss = loss
        if self.first_step is None:
            self.first_step, self.started_at = step - 1, time.monotonic()
        if self.bar and self.task is not None:
            self.bar.update(self.task, completed=step, total=total, loss=loss, accuracy=self.accuracy)

    def measured(self, step: int, total: int, stage: str, layout: str, summary: Mapping[str, Any]) -> None:
        """Print a measurement with its stage and layout, and the remaining time."""
        self.accuracy = summary["accuracy"]
        self.line(
            f"update {step}/{total}  loss {self.loss:.4f}  accuracy {summary['accuracy']:.3f} "
            f"[{summary['ci_low']:.3f}, {summary['ci_high']:.3f}]  latents {summary['mean_latents']:.2f}  "
            f"{stage}, answered as the {layout} stage does  {self._left(step, total)}"
        )

    def _left(self, step: int, total: int) -> str:
        if self.first_step is None or step <= self.first_step:
            return ""
        rate = (time.monotonic() - self.started_at) / (step - self.first_step)
        return f"{rate * (total - step):.0f} s left"

    def close(self) -> None:
        """End the progress bar."""
        if self.bar:
            self.bar.stop()
