"""What a run does with SLURM from inside its job: start on all nodes, meet, and go back into the queue."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from thoughtscope.errors import UserError
from thoughtscope.launch.status import CONTINUE
from thoughtscope.launch.supervise import SIGNALS, Started
from thoughtscope.launch.torchrun import Meeting

AFFECTS_RESULTS = False
JOB = "SLURM_JOB_ID"
REQUEUE = "THOUGHTSCOPE_REQUEUE"  # the job that a run may put back into the queue: set in jobs made for one run
KEPT = (JOB, "SLURM_CLUSTER_NAME", "SLURM_CONF")
PATIENCE_SECONDS = 120


def start(worker: Sequence[str], nodes: int, ranks: int, cores: int) -> Started:
    """Start `ranks` processes on each of the job's `nodes`, through srun, which hands on the signals it is sent.

    The nodes meet at the first one, which is this one, at a port that is free on it.

    Raises:
        UserError: this is not a SLURM job.
    """
    if JOB not in os.environ:
        raise UserError(
            "compute.nodes", f"a run wants {nodes} nodes, but this is no SLURM job", "set it to 1, or use the profile"
        )
    step = [f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", f"--cpus-per-task={cores}"]
    # a node's failure ends the others after a minute; a saved run's ranks end together, and none is hurried
    step += ["--export=ALL", "--unbuffered", "--kill-on-bad-exit=0", "--wait=60"]
    node = [sys.executable, "-m", "thoughtscope.launch.node", "--ranks", str(ranks), "--cores", str(cores)]
    node += ["--port", str(_free_port()), "--"]
    process = subprocess.Popen(["srun", *step, *node, *worker], env=_without_step(os.environ), start_new_session=True)
    return Started(process, lambda: process.send_signal(signal.SIGUSR1), f"{nodes} nodes of job {os.environ[JOB]}")


def meeting(port: int) -> Meeting:
    """Return where the nodes of this job step meet: srun was started on the first of them."""
    nodes, node = int(os.environ["SLURM_STEP_NUM_NODES"]), int(os.environ["SLURM_NODEID"])
    return Meeting(nodes, node, os.environ["SLURM_LAUNCH_NODE_IPADDR"], port)


def is_own_job() -> bool:
    """Return whether this SLURM job was made for this run alone, so that the run may put it back into the queue."""
    return REQUEUE in os.environ


def requeue() -> None:
    """Put this job back into the queue, under its number, and wait until SLURM ends it.

    Returns at once if SLURM refuses, or if the job is being cancelled or put back already.
    """
    job = os.environ[REQUEUE]
    if _ask("squeue", "--noheader", f"--jobs={job}", "--format=%T") != "RUNNING":
        return
    for number in SIGNALS:
        signal.signal(number, lambda _number, _frame: sys.exit(CONTINUE))
    if _ask("scontrol", "requeue", job) is not None:
        time.sleep(PATIENCE_SECONDS)


def _ask(*command: str) -> str | None:
    """Return what a command of SLURM prints, or None if it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"{' '.join(command)}: {done.stderr.strip()}", file=sys.stderr, flush=True)
        return None
    return done.stdout.strip()


def _without_step(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out what SLURM said of this process's own step, which srun would take as wishes for the next."""
    return {name: value for name, value in environment.items() if name in KEPT or not name.startswith("SLURM")}


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("", 0))
        return int(one.getsockname()[1])
