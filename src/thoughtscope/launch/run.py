"""Starts a run's ranks, on this node or on all nodes of its job, until the run is done.

torchrun ends with 1 whatever its ranks ended with, so the first rank leaves its own status in a file. If that is
`CONTINUE`, the run has saved and is to go on: in a SLURM job of its own the job is put back into the queue and comes
again; elsewhere it goes on here and now, unless it was this program that was told to stop.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from thoughtscope.launch import slurm, torchrun
from thoughtscope.launch.leases import lease
from thoughtscope.launch.status import CONTINUE, STATUS_FILE
from thoughtscope.launch.supervise import Supervisor

AFFECTS_RESULTS = False


def launch_options() -> argparse.ArgumentParser:
    """Return a parser of where a run computes, to be the parent of another."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--nodes", type=int, default=1, help="of this SLURM job")
    parser.add_argument("--ranks", type=int, default=1, help="processes of each node")
    parser.add_argument("--cores", type=int, default=1, help="of each node")
    return parser


def launch(worker: Sequence[str], nodes: int, ranks: int, cores: int) -> int:
    """Run until the run is finished, has failed, or is to go on later; return the status to end with.

    Args:
        worker: arguments of the program of a rank.
        nodes: of this SLURM job.
        ranks: processes of each node.
        cores: of each node.
    """
    with tempfile.TemporaryDirectory() as folder, lease(ranks):
        supervisor = Supervisor()
        status_file = Path(folder) / "status"
        os.environ[STATUS_FILE] = str(status_file)
        while True:
            status_file.unlink(missing_ok=True)
            started = slurm.start(worker, nodes, ranks, cores) if nodes > 1 else torchrun.start(worker, ranks, cores)
            status = supervisor.wait(started)
            if status_file.exists():
                status = int(status_file.read_text())
            if supervisor.told and status:
                status = CONTINUE  # also if it was told while it still started: nothing is lost
            if status == CONTINUE and slurm.is_own_job():
                slurm.requeue()
            elif status == CONTINUE and not supervisor.told:
                continue
            return status
