"""The use of SLURM from inside a job: run ranks on all nodes, and requeue the job."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from thoughtscope.errors import UserError
from thoughtscope.launch.ranks import Rendezvous
from thoughtscope.launch.signals import StopSignals, unblock

AFFECTS_RESULTS = False
JOB = "SLURM_JOB_ID"
REQUEUE = "THOUGHTSCOPE_REQUEUE"  # the id of the job that a run may requeue; set in jobs that run nothing else
KEPT = (JOB, "SLURM_CLUSTER_NAME", "SLURM_CONF")
PATIENCE_SECONDS = 120


def run_nodes(worker: Sequence[str], nodes: int, ranks: int, cores: int, signals: StopSignals) -> int:
    """Run `ranks` processes on each of the job's `nodes` to their end, through srun; return srun's status.

    The nodes meet at this one, which is the first, at a port that is free on it. srun passes signals on to all nodes.

    Raises:
        UserError: this is not a SLURM job.
    """
    if JOB not in os.environ:
        raise UserError(
            "compute.nodes", f"a run wants {nodes} nodes, but this is no SLURM job", "set it to 1, or use the profile"
        )
    step = [f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", f"--cpus-per-task={cores}"]
    # if a node fails, the others end a minute later; ranks that have saved end together, and srun kills none of them
    step += ["--export=ALL", "--unbuffered", "--kill-on-bad-exit=0", "--wait=60"]
    node = [sys.executable, "-m", "thoughtscope.launch.node", "--ranks", str(ranks), "--cores", str(cores)]
    node += ["--port", str(_free_port()), "--"]
    print(f"started: {time.strftime('%Y-%m-%d %H:%M:%S')}, {nodes} nodes of job {os.environ[JOB]}", file=sys.stderr)
    srun = ["srun", *step, *node, *worker]
    process = subprocess.Popen(srun, env=_without_step(os.environ), start_new_session=True, preexec_fn=unblock)
    signals.pass_on(lambda: process.send_signal(signal.SIGUSR1))
    return process.wait()


def rendezvous(port: int) -> Rendezvous:
    """Return where the nodes of this job step meet: on the node where srun was started, the first one."""
    nodes, node = int(os.environ["SLURM_STEP_NUM_NODES"]), int(os.environ["SLURM_NODEID"])
    return Rendezvous(nodes, node, os.environ["SLURM_LAUNCH_NODE_IPADDR"], port)


def is_own_job() -> bool:
    """Return whether this SLURM job runs nothing else, so that the run may requeue it."""
    return REQUEUE in os.environ


def requeue(signals: StopSignals) -> None:
    """Requeue this job under the same id, and wait until SLURM ends it.

    Returns at once if SLURM refuses, or if the job is already being cancelled or requeued.
    """
    job = os.environ[REQUEUE]
    if _ask("squeue", "--noheader", f"--jobs={job}", "--format=%T") != "RUNNING":
        return
    if _ask("scontrol", "requeue", job) is not None:
        signals.wait_for_next(PATIENCE_SECONDS)


def _ask(*command: str) -> str | None:
    """Return the output of a SLURM command; None if it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"{' '.join(command)}: {done.stderr.strip()}", file=sys.stderr, flush=True)
        return None
    return done.stdout.strip()


def _without_step(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the variables of this job step, which srun would use as options of a new step."""
    return {name: value for name, value in environment.items() if name in KEPT or not name.startswith("SLURM")}


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        return int(free.getsockname()[1])
