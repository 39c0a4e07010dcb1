"""The ranks of one node: torchrun's agent runs in this process, starts them and waits for them."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from thoughtscope.errors import UserError
from thoughtscope.launch.signals import StopSignals
from thoughtscope.launch.status import CONTINUE

AFFECTS_RESULTS = False
DEVICES = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Rendezvous:
    """Where the nodes of a run meet: the number of nodes, this one's index, and the first one's address and port."""

    nodes: int
    node: int
    address: str
    port: int


def run_ranks(
    worker: Sequence[str], ranks: int, cores: int, signals: StopSignals, rendezvous: Rendezvous | None = None
) -> int:
    """Run `ranks` processes on this node to their end; return 0, or 1 if one of them failed.

    Args:
        worker: the module of the program of a rank, and its arguments.
        ranks: processes of this node, one for each device if it has any.
        cores: of this node, split among its ranks.
        signals: each asks the ranks to save and stop.
        rendezvous: where the run's nodes meet; None if this is the only one.

    Raises:
        UserError: this node has fewer devices than ranks.
    """
    print(f"started: {time.strftime('%Y-%m-%d %H:%M:%S')}, {_where(ranks)}", file=sys.stderr, flush=True)
    # The agent must not handle signals: on SIGTERM it would kill its ranks after 30 seconds, saved or not.
    os.environ.update(TORCHELASTIC_SIGNALS_TO_HANDLE="SIGHUP", OMP_NUM_THREADS=str(max(1, cores // ranks)))
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    nodes = ["--standalone"]
    if rendezvous is not None:
        nodes = ["--nnodes", str(rendezvous.nodes), "--node-rank", str(rendezvous.node)]
        nodes += ["--master-addr", rendezvous.address, "--master-port", str(rendezvous.port)]
    signals.pass_on(functools.partial(_ask_ranks, set()))
    program = ["--nproc-per-node", str(ranks), "-m", *worker]
    try:
        run(parse_args([*nodes, *program]))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        if any(failure.exitcode != CONTINUE for failure in error.failures.values()):
            print(error, file=sys.stderr, flush=True)
        return 1
    return 0


def _where(ranks: int) -> str:
    """Return how many ranks run, and where, for the log."""
    devices = os.environ.get(DEVICES, "")
    given = [device for device in devices.split(",") if device]
    if given and len(given) < ranks:
        raise UserError(
            DEVICES,
            f"{ranks} ranks want a device each, but {devices} was given",
            "ask for as many devices as ranks",
        )
    name = os.environ.get("SLURMD_NODENAME", "this machine")
    return f"{ranks} rank{'s' * (ranks > 1)} on {name}, {f'devices {devices}' if given else 'no devices given'}"


def _ask_ranks(asked: set[int]) -> None:
    """Ask the ranks, which are this process's children, to save and stop. A second signal could kill one that ends.

    Args:
        asked: ids of processes that were asked before; new ones are added.
    """
    for rank in psutil.Process().children():
        if rank.pid not in asked:
            asked.add(rank.pid)
            with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
                rank.send_signal(signal.SIGUSR1)
