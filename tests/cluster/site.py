"""A workspace on the test cluster: the shipped workflow and profile, and what differs here, as on any cluster."""

from __future__ import annotations

import itertools
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
    "methods": {"coconut": {"ending": {"min_updates": 2}}},
}


@dataclass
class Campaign:
    """Snakemake at work on the cluster, for some targets."""

    process: subprocess.Popen[str]
    log: Path

    def said(self) -> str:
        return self.log.read_text()

    def finish(self, seconds: float = 400) -> str:
        """Wait for its success and return what it said."""
        assert self.process.wait(timeout=seconds) == 0, self.said()[-5000:]
        return self.said()

    def press_control_c(self) -> None:
        """Do what a terminal does: interrupt Snakemake."""
        psutil.Process(self.process.pid).send_signal(signal.SIGINT)


@dataclass
class Site:
    """The workflow in a folder that all nodes see.

    Args:
        slurm: the cluster.
        workspace: the folder.
        numbers: for the names of logs.
    """

    slurm: Cluster
    workspace: Workspace
    rng: Iterator[int] = field(default_factory=itertools.count)

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
        return sorted((job for job, comment in comments if comment.endswith(f"_coconut_live_{seed}")), key=int)

    def job_of(self, seed: int, number: int = 0) -> str:
        """Wait for the job of a run, or for the one that follows it, and return its id."""
        self.slurm.wait(lambda: len(self.jobs_of(seed)) > number, f"job {number} of run {seed}")
        return self.jobs_of(seed)[number]

    def completes(self, campaign: Campaign, job: str) -> str:
        """Wait until a job has succeeded, and return what was said; Snakemake would ask for its state minutes later."""
        self.slurm.wait(lambda: self.slurm.jobs()[job] == "COMPLETED", f"success of job {job}")
        campaign.process.kill()
        campaign.process.wait()
        return campaign.said()

    def log(self, seed: int) -> str:
        """Return what a run has said over all its starts."""
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
    """Prepare the task and every seed's backbone, here and now: what is tested comes after them."""
    site = Site(slurm, workspace)
    backbones = [f"results/backbones/qwen3/seed{seed}/manifest.json" for seed in range(SEEDS)]
    workspace.snakemake(*backbones, "--cores", "2", "--configfile", str(site.config(0)))
    return site
