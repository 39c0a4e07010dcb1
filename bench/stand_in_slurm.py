"""Imitates SLURM's commands, to observe the scheduling of a large study without a cluster.

Installed under the names of the commands that it imitates. Submitted jobs get free slots in the order of submission.
A job computes nothing: it takes as long as its rule, and writes placeholders of the rule's outputs. The folder that
`STAND_IN_SLURM` names holds the state, a database, and `settings.json`: slots, a limit on jobs in the queue, and the
seconds of each rule. Every call is recorded with its time.
"""

from __future__ import annotations

import heapq
import json
import os
import re
import sqlite3
import sys
import time
from pathlib import Path

RULES = Path("workflow/rules")  # of the workspace that Snakemake works in
RUN = "{task}/{backbone}/{method}/{trainable}/seed{seed}"
TABLES = """
CREATE TABLE IF NOT EXISTS calls (time REAL, program TEXT, refused INTEGER);
CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY, submitted REAL, seconds REAL, name TEXT, targets TEXT);
"""


def schedule(jobs: list[tuple[int, float, float]], slots: int) -> dict[int, tuple[float, float]]:
    """Return when each job starts and ends: the first submitted takes the slot that is free first.

    Args:
        jobs: number, time of submission and seconds of each, in the order of submission.
    """
    free, times = [0.0] * slots, {}
    for number, submitted, seconds in jobs:
        start = max(submitted, heapq.heappop(free))
        times[number] = start, start + seconds
        heapq.heappush(free, start + seconds)
    return times


def targets_of(command: str) -> list[tuple[str, dict[str, str]]]:
    """Return the rules and wildcards of a submitted Snakemake command."""
    listed = re.search(r"--target-jobs (.*?) --", command)
    words = re.findall(r"(\w+):(\S*)", listed.group(1).replace("'", "")) if listed else []
    return [(rule, dict(one.split("=", 1) for one in pairs.split(",") if one)) for rule, pairs in words]


def made_by(rule: str, wildcards: dict[str, str], rules: Path = RULES) -> tuple[list[Path], list[Path]]:
    """Return the files and the folders that a job of a rule leaves: what the rule declares, log and benchmark too."""
    text = "".join(file.read_text() for file in sorted(rules.glob("*.smk")))
    block = text.split(f"\nrule {rule}:\n")[1].split("\nrule ")[0]
    declared = block[block.index("    output:") : block.index("    threads:")].replace("<run>", RUN)
    named = re.findall(r'(directory\()?"(results/[^"]+)"', declared)
    files, folders = ([Path(name.format(**wildcards)) for mark, name in named if bool(mark) == one] for one in (0, 1))
    return files, folders


def main() -> None:
    """Answer one call."""
    folder = Path(os.environ["STAND_IN_SLURM"])
    settings = json.loads((folder / "settings.json").read_text())
    program, arguments, now = Path(sys.argv[0]).name, sys.argv[1:], time.time()
    base = sqlite3.connect(folder / "state.db", timeout=60, isolation_level="IMMEDIATE")
    with base:
        base.executescript(TABLES)
        jobs = base.execute("SELECT id, submitted, seconds FROM jobs ORDER BY id").fetchall()
        times = schedule(jobs, settings["slots"])
        waiting = sum(end > now for _, end in times.values())
        refused = program == "sbatch" and "--test-only" not in arguments and waiting >= settings["most_jobs"]
        base.execute("INSERT INTO calls VALUES (?, ?, ?)", (now, program, refused))
        if program == "sbatch" and "--test-only" not in arguments and not refused:
            print(_submit(base, arguments, now, settings["seconds"]))
        elif program == "squeue":
            _report(base, times, now)
        elif program == "scontrol":
            print("MinJobAge               = 300 sec")
        elif program == "sinfo":
            print("work*" if "-o" in arguments else "work*|64|256000|gpu:8|1-00:00:00")
    if refused:
        sys.exit("sbatch: error: Job violates accounting/QOS policy (job submit limit)")


def _submit(base: sqlite3.Connection, arguments: list[str], now: float, seconds: dict[str, float]) -> int | None:
    command = next(one for one in arguments if one.startswith("--wrap"))
    targets = targets_of(command)
    took = sum(seconds[rule] for rule, _ in targets)
    name = arguments[arguments.index("--job-name") + 1]
    row = (now, took, name, json.dumps(targets))
    return base.execute("INSERT INTO jobs (submitted, seconds, name, targets) VALUES (?, ?, ?, ?)", row).lastrowid


def _report(base: sqlite3.Connection, times: dict[int, tuple[float, float]], now: float) -> None:
    """Print every job's state; what has ended leaves its files first."""
    for number, targets in base.execute("SELECT id, targets FROM jobs").fetchall():
        start, end = times[number]
        if end <= now:
            for rule, wildcards in json.loads(targets):
                files, folders = made_by(rule, wildcards)
                for folder in folders:
                    folder.mkdir(parents=True, exist_ok=True)
                for path in files:
                    if not path.exists():
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.write_text(json.dumps({"files": {}}))
        print(f"{number}|{'COMPLETED' if end <= now else 'RUNNING' if start <= now else 'PENDING'}")


if __name__ == "__main__":
    main()
