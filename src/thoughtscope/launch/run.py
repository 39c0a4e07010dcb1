"""Runs the ranks of a run, on this node or on all nodes of its job, until the run is finished.

torchrun reports only whether its ranks failed, so the first rank writes its own status into a file. If that is
`CONTINUE`, the run has saved its state and is not finished: a SLURM job of its own goes back into the queue; elsewhere
the ranks start again at once, unless this program itself was asked to stop.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from thoughtscope.launch import slurm
from thoughtscope.launch.leases import lease
from thoughtscope.launch.ranks import run_ranks
from thoughtscope.launch.signals import StopSignals
from thoughtscope.launch.status import CONTINUE, STATUS_FILE

AFFECTS_RESULTS = False


def launch_options() -> argparse.ArgumentParser:
    """Return a parser of where a run computes, for use as a parent parser."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--nodes", type=int, default=1, help="of this SLURM job")
    parser.add_argument("--ranks", type=int, default=1, help="processes of each node")
    parser.add_argument("--cores", type=int, default=1, help="of each node")
    return parser


def launch(worker: Sequence[str], nodes: int, ranks: int, cores: int) -> int:
    """Run until the run is finished, has failed, or will be resumed later; return the status to end with.

    Args:
        worker: the module of the program of a rank, and its arguments.
        nodes: of this SLURM job.
        ranks: processes of each node.
        cores: of each node.
    """
    signals = StopSignals()
    with tempfile.TemporaryDirectory() as folder, lease(ranks):
        status_file = Path(folder) / "status"
        os.environ[STATUS_FILE] = str(status_file)
        while True:
            status_file.unlink(missing_ok=True)
            if nodes > 1:
                status = slurm.run_nodes(worker, nodes, ranks, cores, signals)
            else:
                status = run_ranks(worker, ranks, cores, signals)
            if status_file.exists():
                status = int(status_file.read_text())
            if signals.received and status:
                status = CONTINUE  # also if the ranks were still loading: the last saved state is whole
            if status == CONTINUE and slurm.is_own_job():
                slurm.requeue(signals)
            elif status == CONTINUE and not signals.received:
                continue
            return status
