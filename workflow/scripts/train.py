"""Starts a run's ranks through torchrun and hands on signals; starts again until the run is done.

torchrun ends with 1 whatever its ranks ended with, so the first rank leaves its own status in a file. If that is
`CONTINUE`, the run has saved and is to go on: here and now, unless it was this program that was told to stop.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from thoughtscope.training.status import CONTINUE, STATUS_FILE


def main() -> int:
    """Run torchrun until the run is finished, has failed, or was told from outside to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, default=1, help="processes on this node")
    own, worker = parser.parse_known_args()
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(own.ranks)),
        *("-m", "thoughtscope.training.worker", *worker),
    ]
    told: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        status_file = Path(folder) / "status"
        while True:
            status_file.unlink(missing_ok=True)
            process = subprocess.Popen(command, env={**os.environ, STATUS_FILE: str(status_file)})
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
                signal.signal(number, _hand_on(process, told))
            status = process.wait()
            if status_file.exists():
                status = int(status_file.read_text())
            if told:
                return CONTINUE if status else 0  # also if it was told while it still started: nothing is lost
            if status != CONTINUE:
                return status


def _hand_on(process: "subprocess.Popen[bytes]", told: list[int]):  # type: ignore[no-untyped-def]
    """Return a signal handler that remembers the signal and asks the ranks to save and stop."""

    def handler(number: int, _frame: object) -> None:
        told.append(number)
        process.send_signal(signal.SIGTERM)

    return handler


if __name__ == "__main__":
    sys.exit(main())
