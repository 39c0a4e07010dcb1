"""Runs the ranks of one node; srun starts this program on each node of a run."""

from __future__ import annotations

import argparse
import sys

from thoughtscope.errors import one_line_errors
from thoughtscope.launch import slurm
from thoughtscope.launch.ranks import run_ranks
from thoughtscope.launch.signals import StopSignals

AFFECTS_RESULTS = False


@one_line_errors
def main() -> int:
    """Run this node's ranks to their end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, required=True, help="processes of this node")
    parser.add_argument("--cores", type=int, required=True, help="of this node")
    parser.add_argument("--port", type=int, required=True, help="of the first node, where the nodes meet")
    parser.add_argument("worker", nargs=argparse.REMAINDER, help="-- and the arguments of a rank")
    arguments = parser.parse_args()
    rendezvous = slurm.rendezvous(arguments.port)
    return run_ranks(arguments.worker[1:], arguments.ranks, arguments.cores, StopSignals(), rendezvous)


if __name__ == "__main__":
    sys.exit(main())
