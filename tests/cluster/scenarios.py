"""Scenarios of runs on a cluster. All are played at once in one folder; each has its own run, by seed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.workflow.conftest import make_workspace
from thoughtscope.artifacts import sha256
from thoughtscope.config.load import Study
from thoughtscope.config.run_settings import run_settings
from thoughtscope.run_id import RunId

from .site import Site, run, target
from .slurm import CORES, GPUS, TOKEN

LONG = {"training": {"updates": 300, "batch_size": 16, "save_every_seconds": 1.0}, "evaluation": {"every": 20}}
ENDLESS = {**LONG, "training": {**LONG["training"], "updates": 100_000}}
SCENARIOS: list[Callable[[Site], None]] = []
RESUMED = "resumed at update"


def scenario(play: Callable[[Site], None]) -> Callable[[Site], None]:
    """List a scenario."""
    SCENARIOS.append(play)
    return play


@scenario
def three_time_limits_are_passed_in_one_job_and_spend_no_retry(site: Site) -> None:
    seed = 1
    campaign = site.start(site.config(seed, **LONG), target(seed), retries=1, partition="blue")
    job = site.job_of(seed)
    for number in (1, 2, 3):
        site.trains(seed, start=number)
        site.slurm.ask("scancel", "--signal=USR1", job)  # as SLURM does near the limit
        site.slurm.wait(lambda n=number: site.log(seed).count("asked to stop") == n, "a saved state")
    said = site.completes(campaign, job)
    assert site.log(seed).count(RESUMED) == 3
    assert site.jobs_of(seed) == [job]
    assert "Restarts=3" in site.slurm.ask("scontrol", "show", "job", job)
    assert "Trying to restart" not in said


@scenario
def a_run_outlives_a_cancelled_job_a_preemption_and_a_power_cut(site: Site) -> None:
    seed, node = 2, "red"  # alone on that node
    campaign = site.start(site.config(seed, **LONG), target(seed), retries=1, partition=node)
    first = site.job_of(seed)
    site.trains(seed)
    site.slurm.ask("scancel", first)
    second = site.job_of(seed, 1)
    site.trains(seed, start=2)
    urgent = site.slurm.ask("sbatch", "--parsable", "-p", "urgent", "-w", node, "--exclusive", "--wrap=sleep 1").strip()
    site.slurm.wait(lambda: site.slurm.jobs()[urgent] == "COMPLETED", "the job that preempted")
    site.trains(seed, start=3)
    site.slurm.cut_power(node)
    site.slurm.restore(node)
    said = site.completes(campaign, second)
    assert site.slurm.jobs()[first] == "CANCELLED"
    assert site.jobs_of(seed) == [first, second]
    assert said.count("Trying to restart") == 1
    assert "Restarts=2" in site.slurm.ask("scontrol", "show", "job", second)
    assert site.log(seed).count(RESUMED) == 3


@scenario
def a_job_killed_for_memory_is_submitted_again_with_more(site: Site) -> None:
    seed = 3
    said = site.start(site.config(seed, compute={"mem_mb": 600}), target(seed), retries=2, partition="blue").finish()
    jobs = site.jobs_of(seed)
    assert len(jobs) > 1
    memory = site.slurm.jobs("%m")
    assert [memory[job] for job in jobs] == ["600M", "1600M", "2600M"][: len(jobs)]
    assert said.count("Trying to restart") == len(jobs) - 1


@scenario
def control_c_cancels_what_was_submitted(site: Site) -> None:
    seed = 4
    campaign = site.start(site.config(seed, **ENDLESS), target(seed), partition="blue")
    job = site.job_of(seed)
    site.trains(seed)
    campaign.press_control_c()
    assert campaign.process.wait(timeout=480) != 0, "it ends when it would have asked for the job's state"
    site.slurm.wait(lambda: site.slurm.jobs()[job] == "CANCELLED", "a cancelled job")
    assert list((site.folder / "results/state").glob("*/step-*")), "and it has saved"


@scenario
def two_nodes_learn_the_same_weights_as_one(site: Site) -> None:
    seed = 5
    config = site.config(seed, compute={"nodes": 2, "ranks": 1})
    site.start(config, target(seed)).finish()
    nodes = {line.split(" on ")[1].split(",")[0] for line in site.log(seed).splitlines() if "rank on" in line}
    assert nodes == {"blue", "red"}
    one = site.folder / "one-node"
    subprocess.run(_by_hand(site, config, seed, one), check=True, cwd=site.folder, capture_output=True, timeout=300)
    weights = "model/model.safetensors"
    assert sha256(one / weights) == sha256(site.folder / "results" / run(seed) / weights)


def _by_hand(site: Site, config: Path, seed: int, output: Path) -> list[str]:
    """Return the command that trains the same run on this machine, with as many ranks."""
    study = Study(yaml.safe_load((site.folder / config).read_text()), site.folder / "config")
    settings = json.dumps(run_settings(study, RunId("chain", "qwen3", "coconut", "full", seed)))
    inputs = ["--task", "results/tasks/chain", "--backbone", f"results/backbones/qwen3/seed{seed}"]
    program = [sys.executable, "workflow/scripts/train.py", "--ranks", "2", "--settings", settings, *inputs]
    return [*program, "--state", str(output.with_suffix(".state")), "--output", str(output)]


@scenario
def two_campaigns_at_once_wait_for_a_free_device_and_fight_over_no_file(site: Site) -> None:
    seeds, held = (6, 7), GPUS - 1
    holder = site.slurm.ask(
        "sbatch", "--parsable", "-p", "blue", f"--gpus={held}", "-n1", "--wrap=sleep 1000", "-o", "/dev/null"
    ).strip()
    many = {6: CORES + 1, 7: 1}  # more than a node could draw at once
    figures = {
        seed: [f"results/figures/accuracy-{seed}-{number}.png" for number in range(count)]
        for seed, count in many.items()
    }
    campaigns = []
    for seed in seeds:
        wanted = {Path(name).stem: {"kind": "accuracy_backbones"} for name in figures[seed]}
        config = site.config(seed, compute={"gpus": 1}, figures=wanted)
        campaigns.append(site.start(config, *figures[seed], partition="blue"))
    jobs = [site.job_of(seed) for seed in seeds]
    for campaign in campaigns:
        campaign.finish()
    site.slurm.ask("scancel", holder)
    assert all((site.folder / figure).is_file() for seed in seeds for figure in figures[seed])
    assert [len(site.jobs_of(seed)) for seed in seeds] == [1, 1]
    earlier, later = sorted((_times(site, job) for job in jobs), key=lambda times: times["StartTime"])
    assert later["SubmitTime"] < earlier["EndTime"] <= later["StartTime"], "one waited for the other"
    devices = {line.split("devices ")[1] for seed in seeds for line in site.log(seed).splitlines() if "rank on" in line}
    assert len(devices) == 1, "both got the only free device"
    assert devices < {str(number) for number in range(GPUS)}


def _times(site: Site, job: str) -> dict[str, str]:
    """Return when a job was submitted, started and ended, as SLURM writes times."""
    words = dict(word.split("=", 1) for word in site.slurm.ask("scontrol", "show", "job", job).split() if "=" in word)
    return {name: words[name] for name in ("SubmitTime", "StartTime", "EndTime")}


@scenario
def the_smoke_config_draws_a_figure_from_nothing(site: Site) -> None:
    other = Site(site.slurm, make_workspace(site.folder.parent / "nothing"))
    figure = "results/figures/accuracy_live_frozen.png"
    other.start(Path("config/smoke.yaml"), figure).finish()
    assert (other.folder / figure).is_file()
    provenance = other.folder / "results/runs/chain/qwen3/coconut/full/seed0/provenance.json"
    assert json.loads(provenance.read_text())["stage"] == "train"
    done = other.workspace.snakemake(figure, "-n", "--configfile", "config/smoke.yaml")
    assert "Nothing to be done" in done.stdout, "the same results without the cluster"
    assert not [file for file in other.folder.rglob("*") if file.is_file() and TOKEN.encode() in file.read_bytes()]
