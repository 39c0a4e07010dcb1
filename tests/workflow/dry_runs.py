"""Many fast dry runs of real Snakemake: a process imports Snakemake once and forks for each dry run.

As a program it is a server: for each line of its input it dry-runs the workflow of its folder in a fork and prints a
line of JSON, the jobs that would run. Each fork loads the workflow and the library again, so edits take effect.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIG = "config/smoke.yaml"
COLUMNS = {
    "task": ("prepare_task",),
    "backbone": ("build_backbone",),
    "train": ("train",),
    "extract": ("extract_latents", "extract_statements"),
    "probe": ("fit_probe",),
    "table": ("table",),
    "figure": ("figure",),
    "page": ("explore",),
}
FOLLOWS = "Input files updated by another job"


@dataclass(frozen=True)
class Stale:
    """A job that would run, as a cell of the matrix names it.

    Attributes:
        reason: the first of Snakemake's reasons, e.g. `Missing output files`.
    """

    column: str
    name: str
    reason: str


def stale(job: dict[str, Any]) -> Stale:
    """Return the cell of a job (`workflow.lib.jobs.Job`, as a mapping)."""
    column = next(column for column, rules in COLUMNS.items() if job["rule"] in rules)
    return Stale(column, _name(job["wildcards"]), job["reason"].split(";")[0].split(":")[0].strip())


def _name(wildcards: dict[str, str]) -> str:
    """Return a short name, which leaves out `qwen3` and `full`."""
    if "method" not in wildcards:
        names = (wildcards.get(key) for key in ("name", "probe", "task", "backbone"))
        return next((name for name in names if name), "explore")
    told = [wildcards["backbone"]] if wildcards["backbone"] != "qwen3" else []
    told += ["lora"] if wildcards["trainable"] == "lora" else []
    return f"{wildcards['method']}({','.join(told)})" if told else wildcards["method"]


class DryRuns:
    """A server of dry runs in a folder with the workflow, its results and possibly its own copy of the library."""

    def __init__(self, folder: Path) -> None:
        own = {"PYTHONPATH": str(folder / "src")} if (folder / "src").is_dir() else {}
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **own}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__))],
            cwd=folder,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ask(self, *arguments: str) -> set[Stale]:
        """Return the jobs that would run now.

        Args:
            arguments: of Snakemake, beside the config: targets.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(arguments) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "failed" not in answer, answer["failed"]
        return {stale(job) for job in answer["jobs"]}

    def close(self) -> None:
        """End the server."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


def _answer(arguments: list[str]) -> dict[str, Any]:
    sys.path.insert(0, str(Path.cwd()))  # its own workflow.lib
    from workflow.lib.jobs import planned

    return {"jobs": [dataclasses.asdict(job) for job in planned(["--configfile", CONFIG, "--", *arguments])]}


def _serve() -> None:
    import pandas  # noqa: F401
    import pydantic  # noqa: F401
    import snakemake.api
    import snakemake.cli
    import snakemake.executors.dryrun
    import snakemake.persistence.file  # noqa: F401

    for line in sys.stdin:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            try:
                answer = _answer(json.loads(line))
            except BaseException:
                answer = {"failed": traceback.format_exc()}
            print(json.dumps(answer, default=str), flush=True)
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    _serve()
