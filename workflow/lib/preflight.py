"""Asks SLURM, without submitting, whether it would accept every job, and whether its nodes see the files.

`sbatch --test-only` checks a job. A step of a second on one node of each partition checks the files; a line says so if
no node is free soon.
"""

from __future__ import annotations

import math
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thoughtscope.config.load import Study
from thoughtscope.errors import UserError
from workflow.lib.jobs import planned

PROFILE = "workflow/profiles/slurm/profile.yaml"
PATIENCE_SECONDS = 20
LOOK = """
for file do
    if [ "$file" = -- ]; then written=yes
    elif [ ! -r "$file" ]; then echo "$file: $SLURMD_NODENAME does not see it"
    elif [ "$written" ] && [ ! -w "$file" ]; then echo "$file: $SLURMD_NODENAME cannot write to it"
    fi
done
"""


@dataclass(frozen=True)
class Ask:
    """The resources that one kind of job requests from SLURM.

    Args:
        options: of sbatch.
        partition: None for the cluster's default.
        minutes: time limit; None if the job names none.
    """

    options: tuple[str, ...]
    partition: str | None
    minutes: int | None

    @classmethod
    def of(cls, resources: Mapping[str, Any]) -> Ask:
        """Return the request of a job with these resources of Snakemake."""
        names = {
            "--partition": "slurm_partition",
            "--account": "slurm_account",
            "--qos": "qos",
            "--constraint": "constraint",
            "--nodes": "nodes",
            "--ntasks": "tasks",
            "--cpus-per-task": "threads",
            "--mem": "mem_mb",
            "--time": "runtime",
        }
        options = [f"{option}={resources.get(name)}" for option, name in names.items() if resources.get(name)]
        if gpus := resources.get("gpu"):
            model = resources.get("gpu_model")
            options.append(f"--gpus={model}:{gpus}" if model else f"--gpus={gpus}")
        options += shlex.split(resources.get("slurm_extra") or "")
        return cls(tuple(options), resources.get("slurm_partition"), resources.get("runtime"))


@dataclass(frozen=True)
class Partition:
    """A partition, as `sinfo` lists it.

    Args:
        nodes: cores, MB and devices of each kind of node.
        longest: its time limit in minutes; None if there is none.
    """

    name: str
    default: bool
    nodes: tuple[str, ...]
    longest: int | None


def problems(asks: Mapping[Ask, str], files: Sequence[Path], folders: Sequence[Path]) -> Iterator[UserError]:
    """Yield each reason why jobs would not run.

    Args:
        asks: the requests of jobs, with the name of a rule for each.
        files: files that every node must see.
        folders: folders that every node must be able to write to.
    """
    partitions = _partitions()
    default = next((one.name for one in partitions.values() if one.default), "")
    taken: dict[str, Ask] = {}
    for ask, job in asks.items():
        names = str(ask.partition or default).split(",")  # SLURM chooses the first that is free
        unknown = [name for name in names if name not in partitions]
        if unknown:
            found = ", ".join(sorted(partitions))
            yield UserError(f"{PROFILE}: slurm_partition", f"there is no partition {unknown[0]}", f"use one of {found}")
            continue
        problem = _refusal(ask, job, [partitions[name] for name in names])
        if problem is None:
            taken |= dict.fromkeys(names, ask)
        else:
            yield problem
    for name, ask in sorted(taken.items()):
        yield from _unseen(name, ask, files, folders)


def _refusal(ask: Ask, job: str, partitions: Sequence[Partition]) -> UserError | None:
    """Return why SLURM would never start a job, or None."""
    names, longest = ",".join(one.name for one in partitions), [one.longest or math.inf for one in partitions]
    if ask.minutes and ask.minutes > max(longest):
        problem = f"asks for {ask.minutes} minutes, partition {names} ends jobs after {max(longest)}"
        return UserError(job, problem, f"set compute.longest_minutes to {max(longest)}")
    done = _run("sbatch", "--test-only", *ask.options, "--wrap=true")
    if not done.returncode:
        return None
    problem = f"SLURM says: {_last_line(done).rpartition('failure: ')[2]} ({' '.join(ask.options)})"
    if re.search("account|qos", problem.partition("(")[0], re.IGNORECASE):
        return UserError(job, problem, f"set slurm_account or qos in {PROFILE}")
    nodes = " or ".join(node for one in partitions for node in one.nodes)
    return UserError(job, problem, f"nodes of {names} have {nodes}: change compute in {PROFILE} or in the config")


def _unseen(partition: str, ask: Ask, files: Sequence[Path], folders: Sequence[Path]) -> Iterator[UserError]:
    """Yield the files that a node of `partition` does not see or cannot write to, if a node is free now."""
    step = ["srun", f"--partition={partition}", f"--immediate={PATIENCE_SECONDS}", "--nodes=1", "--ntasks=1"]
    step += ["--mem=50", "--time=1", "--chdir=/", "--quiet", "--job-name=look"]
    step += [option for option in ask.options if option.startswith(("--account=", "--qos=", "--constraint="))]
    done = _run(*step, "sh", "-c", LOOK, "sh", *map(str, files), "--", *map(str, folders))
    if done.returncode:
        unchecked = f"no node of partition {partition} was free within {PATIENCE_SECONDS} seconds to check the files"
        print(f"{unchecked}: {_last_line(done)}", file=sys.stderr)
        return
    for line in done.stdout.splitlines():
        file, _, problem = line.partition(": ")
        yield UserError(file, f"{problem} (partition {partition})", "put it on a file system that all nodes share")


def _partitions() -> dict[str, Partition]:
    done = _run("sinfo", "--noheader", "--format=%P|%c|%m|%G|%l")
    if done.returncode:
        raise UserError("sinfo", _last_line(done), "run this where SLURM's commands work")
    found: dict[str, Partition] = {}
    for line in done.stdout.split():  # a line for each kind of node of each partition
        marked, cores, megabytes, devices, longest = line.split("|")
        name, kind = marked.rstrip("*"), f"{cores} cores, {megabytes} MB, devices {devices}"
        kinds = (*found[name].nodes, kind) if name in found else (kind,)
        found[name] = Partition(name, marked.endswith("*"), kinds, minutes(longest))
    return found


def minutes(limit: str) -> int | None:
    """Parse a time limit of SLURM, `days-hours:minutes:seconds`; parts at the left may be missing.

    Returns:
        whole minutes, or None if there is no limit.
    """
    if not limit[:1].isdigit():
        return None
    days, _, time = limit.rpartition("-")
    seconds = 0
    for part in time.split(":"):
        seconds = seconds * 60 + int(part)
    return int(days or 0) * 1440 + seconds // 60


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stdout.strip().splitlines() or [f"status {done.returncode}"])[-1]


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of SLURM; a missing command returns status 127 instead of raising."""
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, f"{command[0]} is not installed here")


def seen_by_nodes(files: Sequence[str], study: Study) -> list[Path]:
    """Return the files that every node must see: Python, the Snakefile, data, model folders, and the cache of the hub.

    Args:
        files: inputs of jobs that no job makes.
    """
    backbones = [study.backbone(name) for name in study.named("backbones")]
    folders = {str(one.path) for one in backbones if one.source == "folder"}
    if any(one.source == "hub" for one in backbones):
        folders.add(os.environ.get("HF_HOME", str(Path.home() / ".cache/huggingface")))
    return [Path(file).absolute() for file in (sys.executable, "Snakefile", *sorted({*files, *folders}))]


def cluster_problems(study: Study, options: Sequence[str]) -> tuple[int, list[UserError]]:
    """Return the number of jobs, and each reason why some of them would not run.

    Args:
        options: of Snakemake: the profile and the config files.
    """
    jobs = planned(options)
    made = {file for job in jobs for file in job.outputs}
    files = [file for job in jobs for file in job.inputs if file not in made and not file.startswith("results/")]
    results = Path("results").absolute()
    results.mkdir(exist_ok=True)
    asks = {Ask.of(job.resources): f"rule {job.rule}" for job in jobs}
    return len(jobs), list(problems(asks, seen_by_nodes(files, study), [results]))
