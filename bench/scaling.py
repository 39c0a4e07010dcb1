"""Times a large study on a simulated cluster, with real Snakemake and the shipped SLURM profile.

.venv/bin/python bench/scaling.py [--seeds 5] [--slots 64] [--figure docs/gallery/scaling.png] [-- Snakemake's options]

The study has 6 backbones x 8 methods x full and LoRA training x seeds, and extracts from Coconut's runs. Snakemake,
its SLURM plugin, the profile, the intervals and the time are real. `stand_in_slurm.py` simulates the cluster: a job
takes as long as its rule takes here, and writes placeholders.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import yaml
from stand_in_slurm import schedule

from thoughtscope.figures.style import COLUMN, PAGE, applied, new_figure

ROOT = Path(__file__).parents[1]
COPIED = ("Snakefile", "workflow", "profiles", "config", "envs")
COMMANDS = ("sbatch", "squeue", "sinfo", "srun", "scancel", "sacct", "sacctmgr", "scontrol", "sshare")
BACKBONES = ["qwen3", "llama3.2", "mistral", "smollm3", "gemma3", "qwen2.5"]
METHODS = ["cot", "no-cot", "icot", "pause", "coconut", "lt-tuning", "lt-tuning-without-stage-3"]
METHODS += ["lt-tuning-without-stage-3-truncated"]
SECONDS = {"prepare_task": 5, "build_backbone": 20, "train": 40, "extract_latents": 10, "fit_probe": 5}
SECONDS |= {"table": 2, "figure": 2}


@dataclass(frozen=True)
class Watched:
    """What was seen of Snakemake itself: seconds by the clock, of its processor, and its memory in MB."""

    wall: float
    processor: float
    memory: float


def make_workspace(folder: Path, seeds: int, slots: int, most_jobs: int) -> dict[str, str]:
    """Write the workflow, the study and the stand-ins; return the environment in which they are found."""
    for part in COPIED:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, folder / part)
    raw = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    grid = {"task": "chain", "backbone": BACKBONES, "method": METHODS, "trainable": ["full", "lora"]}
    raw["runs"] = [{**grid, "seed": list(range(seeds))}]
    raw["probes"] = {"values": {"kind": "intermediate_value", "runs": {"method": "coconut"}}}
    raw["figures"] = {"accuracy": {"kind": "accuracy_backbones", "runs": {"method": "coconut", "trainable": "full"}}}
    (folder / "config/study.yaml").write_text(yaml.safe_dump(raw))
    settings = {"slots": slots, "most_jobs": most_jobs, "seconds": SECONDS}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "bin").mkdir()
    program = f"#!{sys.executable} -SE\n{(ROOT / 'bench/stand_in_slurm.py').read_text()}"
    for name in COMMANDS:
        (folder / "bin" / name).write_text(program)
        (folder / "bin" / name).chmod(0o755)
    path = f"{folder}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "STAND_IN_SLURM": str(folder)}


def submit(folder: Path, environment: dict[str, str], options: list[str]) -> Watched:
    """Let Snakemake do the study, and watch it."""
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", "workflow/profiles/slurm", "--no-hooks"]
    command += ["--latency-wait", "5", "--configfile", "config/study.yaml", *options]
    start, used, memory = time.monotonic(), 0.0, 0
    with (folder / "snakemake.log").open("w") as log:
        process = psutil.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        while process.poll() is None:
            try:
                times = process.cpu_times()
                used, memory = times.user + times.system, max(memory, process.memory_info().rss)
            except psutil.Error:
                break
            time.sleep(0.2)
    process.wait()
    return Watched(time.monotonic() - start, used, memory / 1e6)


def read_jobs(base: sqlite3.Connection, slots: int) -> pd.DataFrame:
    """Return every job's submission, start and end, in seconds since the first submission."""
    jobs = pd.read_sql("SELECT id, submitted, seconds FROM jobs ORDER BY id", base)
    times = schedule(list(jobs.itertuples(index=False, name=None)), slots)
    jobs["start"], jobs["end"] = zip(*(times[number] for number in jobs["id"]), strict=True)
    jobs[["start", "end", "submitted"]] -= jobs["submitted"].min()
    return jobs


def ideal(jobs: pd.DataFrame, slots: int) -> float:
    """Return the shortest makespan: all work shared out, or the longest chain of jobs, whichever is longer."""
    chain = sum(SECONDS[rule] for rule in ("prepare_task", "build_backbone", "train", "train", "table"))
    return max(jobs["seconds"].sum() / slots, chain)


def each_minute(times: pd.Series) -> pd.Series:
    """Return how many fall into each minute."""
    minutes = (times // 60).astype(int)
    return minutes.value_counts().reindex(range(minutes.max() + 1), fill_value=0)


def report(folder: Path, watched: Watched, slots: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Print what was measured; return jobs and calls."""
    with sqlite3.connect(folder / "state.db") as base:
        jobs, calls = read_jobs(base, slots), pd.read_sql("SELECT * FROM calls ORDER BY time", base)
    first = calls["time"].min()
    calls["time"] -= first
    makespan, best = jobs["end"].max(), ideal(jobs, slots)
    lines = {
        "jobs submitted, refused": f"{len(jobs)}, {calls['refused'].sum()}",
        "makespan, s": f"{makespan:.0f}",
        "shortest possible, s": f"{best:.0f} (ratio {makespan / best:.2f})",
        "slots in use, mean": f"{jobs['seconds'].sum() / makespan:.1f} of {slots}",
        "after the last job, s": f"{watched.wall - makespan:.0f}, start-up included",
        "Snakemake's processor, s": f"{watched.processor:.0f}",
        "Snakemake's memory, MB": f"{watched.memory:.0f}",
    }
    for program, group in calls.groupby("program"):
        rate = each_minute(group["time"])
        lines[f"{program}, calls"] = f"{len(group)}, at most {rate.max()} a minute"
    print("| | |\n| --- | --- |")
    print("\n".join(f"| {name} | {value} |" for name, value in lines.items()), flush=True)
    return jobs, calls


def files(folder: Path) -> None:
    """Print what lies in Snakemake's folder, and what a dry run of the finished study asks of the file system."""
    for name in (".snakemake/metadata", ".snakemake/log", "results/logs"):
        found = [path.stat().st_size for path in (folder / name).rglob("*") if path.is_file()]
        print(f"| files in `{name}` | {len(found)}, {sum(found) / 1e6:.1f} MB |")
    if not shutil.which("strace"):
        print("| calls to the file system | not counted: no strace |")
        return
    command = ["strace", "-f", "-c", "-e", "trace=%file", "-o", "strace.txt", sys.executable, "-m", "snakemake", "-n"]
    subprocess.run([*command, "--configfile", "config/study.yaml"], cwd=folder, capture_output=True, check=False)
    rows = [line.split() for line in (folder / "strace.txt").read_text().splitlines()[2:]]
    counts = {row[-1]: int(row[3]) for row in rows if len(row) >= 5 and row[3].isdigit()}
    total = counts.pop("total", 0)
    most = ", ".join(f"{name} {number}" for name, number in sorted(counts.items(), key=lambda one: -one[1])[:3])
    print(f"| calls to the file system, dry run | {total}: {most} |")


def draw(jobs: pd.DataFrame, calls: pd.DataFrame, slots: int, path: Path) -> None:
    """Draw slots in use and jobs in the queue over time, and the calls of each minute."""
    moments = np.arange(0, jobs["end"].max() + 1)
    running = [((jobs["start"] <= now) & (now < jobs["end"])).sum() for now in moments]
    waiting = [((jobs["submitted"] <= now) & (now < jobs["start"])).sum() for now in moments]
    with applied():
        figure = new_figure(PAGE, COLUMN)
        above, below = figure.subplots(1, 2)
        above.plot(moments / 60, running, label="running")
        above.plot(moments / 60, waiting, ls="--", label="waiting in the queue")
        above.axhline(slots, color="0.6", lw=0.6)
        above.set(ylabel="jobs", xlabel="minutes")
        above.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        for program, style in (("sbatch", "-"), ("squeue", "--")):
            rate = each_minute(calls.loc[calls["program"] == program, "time"])
            below.step(rate.index, rate, ls=style, where="post", label=program)
        below.set(ylabel="calls a minute", xlabel="minutes")
        below.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        figure.savefig(path, dpi=200)


def main() -> None:
    """Send one study through."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--slots", type=int, default=64, help="jobs that the stand-in cluster runs at once")
    parser.add_argument("--most-jobs", type=int, default=10**6, help="jobs it lets one user have in the queue")
    parser.add_argument("--figure", type=Path, help="PNG to draw")
    parser.add_argument("options", nargs="*", help="of Snakemake, after --")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = make_workspace(folder, arguments.seeds, arguments.slots, arguments.most_jobs)
        watched = submit(folder, environment, arguments.options)
        jobs, calls = report(folder, watched, arguments.slots)
        files(folder)
        if arguments.figure:
            draw(jobs, calls, arguments.slots, arguments.figure)
        print((folder / "snakemake.log").read_text()[-300:], file=sys.stderr)


if __name__ == "__main__":
    main()
