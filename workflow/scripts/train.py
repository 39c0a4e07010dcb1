"""Starts a run's ranks through torchrun, hands on signals, and starts again until the run is done.

A rank that was asked to stop ends with status 75 after saving; a stop that came from outside is handed
on as this program's own status, any other continuation is started again here.
"""

import argparse
import signal
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Run torchrun until the run is finished, has failed, or is to be continued later."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, default=1, help="processes on this node")
    parser.add_argument("--state", type=Path, required=True)
    own, worker = parser.parse_known_args()
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(own.ranks)),
        *("-m", "thoughtscope.training.worker", "--state", str(own.state), *worker),
    ]
    process = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, lambda *_: process.send_signal(signal.SIGTERM))
    return process.wait()


if __name__ == "__main__":
    sys.exit(main())
