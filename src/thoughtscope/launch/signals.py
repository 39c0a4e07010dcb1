"""Signals that ask a run to stop: the process that starts the ranks blocks them and forwards them from a thread.

Ranks inherit the blocked signals, so a signal that arrives during start-up is pending until the rank can handle it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

AFFECTS_RESULTS = False
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
AGAIN_SECONDS = 1.0


class StopSignals:
    """Reads the signals of this process from its construction on. Construct it once, before any thread starts.

    Attributes:
        received: the signals so far.
    """

    def __init__(self) -> None:
        self.received: list[int] = []
        self._pass_on: Callable[[], None] = lambda: None
        self._new = threading.Event()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        threading.Thread(target=self._read, daemon=True).start()

    def pass_on(self, ask: Callable[[], None]) -> None:
        """Call `ask` for each signal, and then repeatedly, because a signal may arrive before the ranks exist."""
        self._pass_on = ask

    def wait_for_next(self, seconds: float) -> None:
        """Wait for another signal, at most `seconds`."""
        self._new.clear()
        self._new.wait(seconds)

    def _read(self) -> None:
        while True:
            number = signal.sigwait(SIGNALS) if not self.received else self._next()
            if number is not None:
                self.received.append(number)
                self._new.set()
            self._pass_on()

    def _next(self) -> int | None:
        found = signal.sigtimedwait(SIGNALS, AGAIN_SECONDS)
        return None if found is None else found.si_signo


def on_stop(call: Callable[[int], object]) -> None:
    """From now on, call `call` with the number of each signal that asks this process to stop."""
    for number in SIGNALS:
        signal.signal(number, lambda received, _frame: call(received))
    unblock()


def unblock() -> None:
    """Unblock the signals that the parent process blocked."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
