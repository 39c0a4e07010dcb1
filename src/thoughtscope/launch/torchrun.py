"""torchrun on one node: its command, and how its ranks are told to save.

torchrun itself hears no signals: on SIGTERM it would end its ranks after 30 seconds, saved or not. Whoever starts it
tells its ranks, and goes on telling them until they end: a rank that is still loading does not hear the first time.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from thoughtscope.errors import UserError
from thoughtscope.launch.supervise import SIGNALS, Started

AFFECTS_RESULTS = False
DEVICES = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Meeting:
    """Where the nodes of a run meet: the number of nodes, this one's, and the first one's address and port."""

    nodes: int
    node: int
    address: str
    port: int


def start(worker: Sequence[str], ranks: int, cores: int, meeting: Meeting | None = None) -> Started:
    """Start torchrun with `ranks` processes on this node.

    Args:
        worker: arguments of the program of a rank.
        ranks: processes of this node, one for each device if it was given any.
        cores: of this node, shared by its ranks.
        meeting: where the run's nodes meet; None if this is the only one.

    Raises:
        UserError: fewer devices were given than there are to be ranks.
    """
    devices = os.environ.get(DEVICES, "")
    given = [device for device in devices.split(",") if device]
    if given and len(given) < ranks:
        raise UserError(
            DEVICES, f"{ranks} ranks want a device each, but {devices} was given", "ask for as many devices as ranks"
        )
    nodes = ["--standalone"]
    if meeting is not None:
        nodes = ["--nnodes", str(meeting.nodes), "--node-rank", str(meeting.node)]
        nodes += ["--master-addr", meeting.address, "--master-port", str(meeting.port)]
    command = [sys.executable, "-m", "torch.distributed.run", *nodes, "--nproc-per-node", str(ranks)]
    deaf = {"TORCHELASTIC_SIGNALS_TO_HANDLE": "SIGHUP", "OMP_NUM_THREADS": str(max(1, cores // ranks))}
    process = subprocess.Popen(
        [*command, "-m", "thoughtscope.training.worker", *worker], env={**os.environ, **deaf}, preexec_fn=_quiet_child
    )
    name = os.environ.get("SLURMD_NODENAME", "this machine")
    number = f"{ranks} rank" + "s" * (ranks > 1)
    where = f"{number} on {name}, devices {devices}" if given else f"{number} on {name}, no devices given"
    return Started(process, lambda: _tell(process), where)


def _tell(torchrun: subprocess.Popen[bytes]) -> None:
    """Ask the ranks of this node to save and stop."""
    try:
        for rank in psutil.Process(torchrun.pid).children():
            rank.send_signal(signal.SIGUSR1)
    except psutil.NoSuchProcess:
        return  # it has just ended


def _quiet_child() -> None:
    """Ignore signals, as children then do until they say otherwise, and die with the launcher (Linux)."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG
