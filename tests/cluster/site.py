"""A workspace on the test cluster: the shipped workflow and profile, and what differs here, as on any cluster."""

from __future__ import annotations

import itertools
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.cluster.slurm import Cluster
from tests.workflow.conftest import Workspace

SNAKEMAKE = Path(sys.executable).parent / "snakemake"
# the shipped profile, and beside it only that this cluster is small and its disk quick
PROFILE = ("--workflow-profile", "workflow/profiles/slurm", "--slurm-init-seconds-before-status-checks", "1")
# a Snakemake that ends removes the locks of all others in its folder, and two that end at once stumble over each other
PROFILE = (*PROFILE, "--latency-wait", "10", "--nolock")
SEEDS = 8  # scenarios use runs of these, from 0
QUICK = {
    "tasks": {"chain": {"splits": {"train": 200, "validation": 16, "test": 8}}},
    "methods": {"coconut": {"shares": [0.42, 0.26, 0.16], "ending": {"learned_at": None}}},
}


@dataclass
class Campaign:
    """Snakemake at work on the cluster, for some targets."""

    process: subprocess.Popen[str]
    log: Path

    def said(self) -> str:
        return self.log.read_text()

    def finish(self, seconds: float = 400) -> str:
        """Wait for its success and return its output."""
        assert self.process.wait(timeout=seconds) == 0, self.said()[-5000:]
        return self.said()

    def press_control_c(self) -> None:
        """Interrupt Snakemake, like a terminal does."""
        psutil.Process(self.process.pid).send_signal(signal.SIGINT)


@dataclass
class Site:
    """The workflow in a folder that all nodes see.

    Args:
        slurm: the cluster.
        workspace: the folder.
        numbers: counts the names of logs.
    """

    slurm: Cluster
    workspace: Workspace
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def folder(self) -> Path:
        return self.workspace.folder

    def config(self, seed: int, **changes: Any) -> Path:
        """Write a main file for one run and a figure of it: the smoke config with a small test set, changed."""
        raw = yaml.safe_load((self.folder / "config/smoke.yaml").read_text())
        only = {
            "runs": [{"task": "chain", "backbone": "qwen3", "method": "coconut", "seed": seed}],
            "figures": {f"accuracy-{seed}": {"kind": "accuracy_backbones"}},
            "probes": {},
            "overrides": QUICK,
        }
        path = self.folder / f"config/seed{seed}.yaml"
        path.write_text(yaml.safe_dump({**raw, **only, **changes}))
        return path.relative_to(self.folder)

    def start(
        self,
        config: Path,
        *targets: str,
        retries: int = 1,
        partition: str = "work",
        options: tuple[str, ...] = (),
    ) -> Campaign:
        """Start Snakemake with the shipped profile."""
        log = self.folder / f"campaign-{next(self.numbers)}.log"
        here = ["--retries", str(retries), "--set-resources", f"train:slurm_partition={partition}"]
        here += options
        command = [str(SNAKEMAKE), *PROFILE, *here, "--configfile", str(config), "--", *targets]
        with log.open("w") as out:
            process = self.slurm.start(*command, cwd=self.folder, stdout=out, stderr=out, text=True)
        return Campaign(process, log)

    def jobs_of(self, seed: int) -> list[str]:
        """Return the ids of all jobs that trained a run, the first first."""
        comments = self.slurm.jobs("%k").items()
        return sorted((job for job, comment in comments if comment.endswith(f"_coconut_full_{seed}")), key=int)

    def job_of(self, seed: int, number: int = 0) -> str:
        """Wait for the job of a run, or for the one that follows it, and return its id."""
        self.slurm.wait(lambda: len(self.jobs_of(seed)) > number, f"job {number} of run {seed}")
        return self.jobs_of(seed)[number]

    def completes(self, campaign: Campaign, job: str) -> str:
        """Wait until a job has succeeded, and return the log, without waiting minutes for Snakemake to poll."""
        self.slurm.wait(lambda: self.slurm.jobs()[job] == "COMPLETED", f"success of job {job}")
        campaign.process.kill()
        campaign.process.wait()
        return campaign.said()

    def log(self, seed: int) -> str:
        """Return the log of all starts of a run."""
        path = self.folder / f"results/logs/{run(seed)}.all.log"
        return path.read_text() if path.exists() else ""

    def trains(self, seed: int, start: int = 1) -> None:
        """Wait until a run has been started `start` times, and trains."""

        def holds() -> bool:
            parts = self.log(seed).split("started:")
            return len(parts) == start + 1 and "update" in parts[-1]

        self.slurm.wait(holds, f"start {start} of run {seed}")


def run(seed: int) -> str:
    """Return the folder of a run, below results or its logs."""
    return f"runs/chain/qwen3/coconut/full/seed{seed}"


def target(seed: int) -> str:
    """Return the file that Snakemake is asked for."""
    return f"results/{run(seed)}/manifest.json"


def make_site(slurm: Cluster, workspace: Workspace) -> Site:
    """Prepare the task and a backbone for every seed without the cluster; the scenarios start from them.

    One backbone is built; the other seeds get copies of it, which Snakemake accepts as newer than their inputs.
    """
    site = Site(slurm, workspace)
    folder = workspace.folder / "results/backbones/qwen3"
    workspace.snakemake(
        "results/backbones/qwen3/seed0/manifest.json", "--cores", "1", "--configfile", str(site.config(0))
    )
    for seed in range(1, SEEDS):
        shutil.copytree(folder / "seed0", folder / f"seed{seed}")
    return site
