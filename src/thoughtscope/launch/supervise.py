"""Waits for started programs and hands on what this process is told."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

AFFECTS_RESULTS = False
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
AGAIN_SECONDS = 1.0


@dataclass(frozen=True)
class Started:
    """Ranks that were started.

    Attributes:
        process: what was started.
        tell: asks its ranks to save and stop.
        where: how many ranks, and where, for the log.
    """

    process: subprocess.Popen[bytes]
    tell: Callable[[], None]
    where: str


class Supervisor:
    """Hears the signals of this process from its making on."""

    def __init__(self) -> None:
        self.told: list[int] = []
        self.started: Started | None = None
        for number in SIGNALS:
            signal.signal(number, self._hear)

    def wait(self, started: Started) -> int:
        """Return the status of what was started; once this process was told to stop, tell it again and again."""
        print(f"started: {time.strftime('%Y-%m-%d %H:%M:%S')}, {started.where}", file=sys.stderr, flush=True)
        self.started = started
        while True:
            try:
                return started.process.wait(timeout=AGAIN_SECONDS)
            except subprocess.TimeoutExpired:
                if self.told:
                    started.tell()

    def _hear(self, number: int, _frame: object) -> None:
        self.told.append(number)
        if self.started:
            self.started.tell()
