"""The test cluster behaves like a real one, and leaves nothing behind."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from .slurm import CONFIGURATION, GPUS, NODES, Cluster, cluster, missing


def test_a_cluster_leaves_no_process_no_mount_and_no_configuration(tmp_path: Path) -> None:
    if reason := missing():
        pytest.skip(reason)
    before = sorted(CONFIGURATION.rglob("*")), Path("/proc/mounts").read_text()
    with cluster(tmp_path) as made:
        assert made.ask("sinfo", "-h", "-N", "-o", "%N").split() == sorted(NODES * 3)  # in each partition
        made.ask("sbatch", "--wrap=sleep 1000")
        made.wait(lambda: "RUNNING" in made.jobs().values(), "a job that runs")
    assert (sorted(CONFIGURATION.rglob("*")), Path("/proc/mounts").read_text()) == before
    left = [process.info for process in psutil.process_iter(["cmdline", "environ"])]
    assert [one["cmdline"] for one in left if str(tmp_path) in f"{one}"] == []


def test_jobs_see_devices_of_their_own_and_wait_when_there_are_none(slurm: Cluster) -> None:
    job = "echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES > $SLURM_JOB_ID; while [ ! -e go ]; do sleep 0.1; done"
    all_devices = len(NODES) * GPUS
    jobs = [slurm.ask("sbatch", "--parsable", "--gpus=1", "-n1", f"--wrap={job}").strip() for _ in range(all_devices)]
    waits = slurm.ask("sbatch", "--parsable", "--gpus=1", "-n1", f"--wrap={job}").strip()
    slurm.wait(lambda: all((slurm.folder / one).is_file() for one in jobs), "jobs on all devices")
    slurm.wait(lambda: slurm.jobs("%T %r")[waits] in {"PENDING Resources", "PENDING Priority"}, "a job that waits")
    assert len({(slurm.folder / one).read_text() for one in jobs}) == all_devices
    assert not (slurm.folder / waits).exists()
    (slurm.folder / "go").touch()
    slurm.wait(lambda: slurm.jobs()[waits] == "COMPLETED", "the job that waited")


def test_a_node_that_is_cut_off_takes_its_processes_with_it(slurm: Cluster) -> None:
    job = slurm.ask("sbatch", "--parsable", "-n1", "--wrap=echo $SLURMD_NODENAME $$ > where; exec sleep 1000").strip()
    slurm.wait((slurm.folder / "where").is_file, "a job that runs")
    name = (slurm.folder / "where").read_text().split()[0]
    slurm.cut_power(name)
    slurm.wait(lambda: slurm.jobs()[job] in {"PENDING", "RUNNING", "NODE_FAIL"}, "a job that lost its node")
    sleeping = [p.pid for p in psutil.process_iter(["environ"]) if f"SLURM_JOB_ID={job}" in _environ(p)]
    assert not [pid for pid in sleeping if f"SLURMD_NODENAME={name}" in _environ(psutil.Process(pid))]
    slurm.restore(name)
    slurm.ask("scancel", job)


def _environ(process: psutil.Process) -> str:
    try:
        return os.fsdecode(Path(f"/proc/{process.pid}/environ").read_bytes())
    except OSError:
        return ""
