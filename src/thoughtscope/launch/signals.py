"""Signals to stop: a process that starts ranks blocks them, reads them in a thread and passes them on to its ranks.

Ranks inherit the blocked signals. So one that comes while a rank still loads waits until the rank can handle it.
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
        """Call `ask` for each signal, and again and again once there is one: it may come before its receivers exist."""
        self._pass_on = ask

    def wait_for_next(self, seconds: float) -> None:
        """Wait for another signal, `seconds` at most."""
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
    """Call `call` with the number of each signal that asks this process to stop, from now on."""
    for number in SIGNALS:
        signal.signal(number, lambda received, _frame: call(received))
    unblock()


def unblock() -> None:
    """Let this process receive the signals that its parent blocked."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
