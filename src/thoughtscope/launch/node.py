"""The program that srun starts once on each node of a run: that node's torchrun."""

from __future__ import annotations

import argparse
import sys

from thoughtscope.errors import one_line_errors
from thoughtscope.launch import slurm, torchrun
from thoughtscope.launch.supervise import Supervisor

AFFECTS_RESULTS = False


@one_line_errors
def main() -> int:
    """Start this node's ranks and wait for them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, required=True, help="processes of this node")
    parser.add_argument("--cores", type=int, required=True, help="of this node")
    parser.add_argument("--port", type=int, required=True, help="where the nodes meet, on the first of them")
    parser.add_argument("worker", nargs=argparse.REMAINDER, help="-- and the arguments of a rank")
    arguments = parser.parse_args()
    supervisor = Supervisor()
    worker = arguments.worker[1:]
    return supervisor.wait(torchrun.start(worker, arguments.ranks, arguments.cores, slurm.meeting(arguments.port)))


if __name__ == "__main__":
    sys.exit(main())
