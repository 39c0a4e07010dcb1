"""A real SLURM cluster of two nodes on one machine: munged, slurmctld and two slurmd.

Its configuration is mounted over /etc/slurm in a private mount namespace, and each of its programs runs in a process
namespace that ends with the process that created it. So nothing remains, even if the tests are killed.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scontrol", "unshare", "nsenter", "mknod")
CONFIGURATION = Path("/etc/slurm")  # where SLURM looks when no variable names another place
NODES = ("blue", "red")  # SLURM sorts them
TOKEN = "hf_that-nobody-writes-down"
CORES = 4
GPUS = 2  # imitated, on each node
HIDDEN = "not-shared"  # nodes do not see what is in this folder, and cannot write to it

SLURM_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# a requeued job waits for as long as a credential lives before it starts again: 120 seconds where this is not set
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill,UsePss
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
DefMemPerCPU=100
MinJobAge=300
KillWait=10
SlurmdTimeout=300
SchedulerParameters=bf_interval=2,sched_interval=2
{nodes}
PartitionName=work Nodes={names} Default=YES MaxTime=1-00:00:00 PriorityTier=1 GraceTime=60
PartitionName=blue Nodes=blue MaxTime=1-00:00:00 PriorityTier=1 GraceTime=60
PartitionName=red Nodes=red MaxTime=1-00:00:00 PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes={names} MaxTime=1:00:00 PriorityTier=9 PreemptMode=OFF
"""


def missing() -> str:
    """Return why there can be no cluster here, or nothing."""
    absent = [name for name in PROGRAMS if not shutil.which(name, path=_environment()["PATH"])]
    if absent:
        return f"{', '.join(absent)} missing: apt-get install slurmctld slurmd slurm-client munge"
    if os.geteuid():
        return "mount namespaces and device nodes need root"
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True).returncode:
        return "no namespaces here"
    return "" if CONFIGURATION.is_dir() else f"no {CONFIGURATION}"


@dataclass
class Cluster:
    """A running cluster; what is started here sees it.

    Args:
        folder: where its configuration, devices, spools and logs lie.
        holder: the process that holds the mount namespace.
    """

    folder: Path
    holder: subprocess.Popen[bytes]
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, *command: str, cwd: Path | None = None, **options: Any) -> subprocess.Popen[Any]:
        """Start a program that sees the cluster, in a new session."""
        inside = ["nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt", f"--wd={cwd or self.folder}"]
        return subprocess.Popen([*inside, *command], env=_environment(), start_new_session=True, **options)

    def ask(self, *command: str) -> str:
        """Return what a command prints; raise if it fails."""
        process = self.start(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said, _ = process.communicate(timeout=60)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)}: {said}")
        return str(said)

    def jobs(self, form: str = "%T") -> dict[str, str]:
        """Return something of every job that SLURM still knows, by id: its state, or what `form` says."""
        lines = self.ask("squeue", "--states=all", "--noheader", f"--format=%i {form}").splitlines()
        return dict(line.strip().split(" ", 1) for line in lines)

    def node(self, name: str) -> None:
        """Start a node and wait until it takes jobs."""
        self._slurmd(name)
        self.wait(lambda: self.ask("sinfo", "-h", "-n", name, "-o", "%T").split()[:1] == ["idle"], f"node {name}")

    def cut_power(self, name: str) -> None:
        """End a node with everything that runs on it, and tell SLURM that it is down."""
        _end(self.daemons.pop(name))
        self.ask("scontrol", "update", f"NodeName={name}", "State=DOWN", "Reason=power")

    def restore(self, name: str) -> None:
        """Start a node again whose power was cut."""
        self._slurmd(name)
        self.wait(lambda: "not responding" not in self.ask("scontrol", "show", "node", name), f"node {name}")
        self.ask("scontrol", "update", f"NodeName={name}", "State=RESUME")
        up = {"idle", "mixed", "allocated", "completing"}  # others may be quicker than this
        self.wait(lambda: self.ask("sinfo", "-h", "-n", name, "-o", "%T").split()[0] in up, f"node {name}")

    def daemon(self, name: str, *command: str) -> None:
        """Start one of the cluster's own programs, in a process namespace that ends when its standard input does."""
        alone = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
        with (self.folder / f"{name}.out").open("ab") as out:
            self.daemons[name] = self.start(
                *(*alone, "sh", "-c", '"$@" & cat', "sh", *command), stdin=subprocess.PIPE, stdout=out, stderr=out
            )

    def _slurmd(self, name: str) -> None:
        hide = f"mount -t tmpfs -o ro none '{self.folder / HIDDEN}' && exec slurmd -D -N {name}"
        self.daemon(name, "sh", "-c", hide)

    def wait(self, holds: Callable[[], Any], what: str, seconds: float = 240) -> None:
        """Wait until something holds; fail with the cluster's own words if it never does."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if holds():
                    return
            except RuntimeError:
                pass  # not yet reachable
            time.sleep(0.5)
        said = "\n".join(f"== {log.name}\n{log.read_text()[-1500:]}" for log in sorted(self.folder.glob("*.log")))
        raise TimeoutError(f"{what}: not within {seconds} seconds\n{said}")


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Make a cluster in an empty folder, and take it down at the end."""
    _write(folder)
    lay_over = f"mount --bind '{folder}/etc' {CONFIGURATION} && exec cat"
    holder = subprocess.Popen(["unshare", "--mount", "sh", "-c", lay_over], stdin=subprocess.PIPE)
    made = Cluster(folder, holder)
    try:
        made.wait(lambda: "slurm.conf" in made.ask("ls", str(CONFIGURATION)), "the configuration")
        munge = {name: f"--{name}-file={folder}/munge/{name}" for name in ("key", "pid", "log", "seed")}
        made.daemon("munged", "munged", "-F", "--force", f"--socket={folder}/munge/socket", *munge.values())
        made.wait((folder / "munge/socket").exists, "munged")
        made.daemon("slurmctld", "slurmctld", "-D")
        for name in NODES:
            made.node(name)
        yield made
    finally:
        for process in (*reversed(made.daemons.values()), holder):
            _end(process)


def _write(folder: Path) -> None:
    """Write the configuration, a key and the imitated devices."""
    for name in ("etc", "munge", "state", "devices", HIDDEN, *NODES):
        (folder / name).mkdir(mode=0o700)
    for number in range(GPUS):
        subprocess.run(["mknod", f"{folder}/devices/gpu{number}", "c", "1", "3"], check=True)
    (folder / "munge/key").write_bytes(os.urandom(128))
    (folder / "munge/key").chmod(0o600)
    host, (port, *ports) = socket.gethostname().split(".")[0], _free_ports(1 + len(NODES))
    nodes = "\n".join(
        f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={own}"
        f" CPUs={CORES} RealMemory=8000 Gres=gpu:{GPUS}"
        for name, own in zip(NODES, ports, strict=True)
    )
    settings = {"host": host, "port": port, "folder": folder, "nodes": nodes, "names": ",".join(NODES)}
    (folder / "etc/slurm.conf").write_text(SLURM_CONF.format(**settings))
    devices = f"{folder}/devices/gpu[0-{GPUS - 1}]"
    (folder / "etc/gres.conf").write_text(f"NodeName={','.join(NODES)} Name=gpu File={devices}\n")


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _environment() -> dict[str, str]:
    """Return this environment without variables of another cluster, and with /usr/sbin, where the daemons are."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_", "CUDA_"))}
    return {**kept, "PATH": f"{kept.get('PATH', '')}:/usr/sbin:/sbin", "OMP_NUM_THREADS": "1", "HF_TOKEN": TOKEN}


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
