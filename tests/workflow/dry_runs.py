"""Dry runs of real Snakemake, many of them, fast: a process loads Snakemake once and forks for each.

Run as a program it serves: for each line of its input it dry-runs the workflow in its folder in a fork, then asks the
fork what `make why` would say of each artifact, and answers with a line of JSON. The forks load the workflow and the
library anew, so an edit shows.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIG = "config/smoke.yaml"
COLUMNS = ("task", "backbone", "train", "extract", "probe", "table", "figure")
MESSAGES = {
    "task": r"prepare task (?P<name>\S+)",
    "backbone": r"build backbone (?P<name>[^/\s]+)/\S+",
    "train": r"train (?P<run>\S+) on \S+ \((?P<trainable>\w+), .*",
    "extract": r"extract hidden states of (?:(?P<run>\S+/\S+) on \S+|\S+ on the statements of (?P<name>\S+))",
    "probe": r"fit (?:probes on (?P<run>\S+), .*|truth directions of \S+ on (?P<name>\S+))",
    "table": r"make table (?P<name>\S+)",
    "figure": r"draw figure (?P<name>\S+)",
}
FOLLOWS = "Input files updated by another job"


@dataclass(frozen=True)
class Job:
    """A job that Snakemake would run.

    Attributes:
        reason: the first of Snakemake's reasons, e.g. `Forced execution`.
    """

    column: str
    name: str
    reason: str

    @property
    def own(self) -> bool:
        """Whether it would run even if nothing before it did."""
        return self.reason != FOLLOWS


def jobs(said: str) -> set[Job]:
    """Read the jobs that a dry run said it would run."""
    found = re.findall(r"^Job \d+: (.*)\nReason: (.*)$", said, re.M)
    return {_job(message, reason) for message, reason in found}


def _job(message: str, reason: str) -> Job:
    first = reason.split(";")[0].split(":")[0].strip()
    for column, pattern in MESSAGES.items():
        if match := re.fullmatch(pattern, message):
            return Job(column, _name(match.groupdict()), first)
    raise AssertionError(f"a message of no stage: {message}")


def _name(parts: dict[str, str | None]) -> str:
    """Return a short name: what is not said is qwen3 and live."""
    if name := parts.get("name"):
        return name
    method, backbone = str(parts["run"]).split("/")
    told = [backbone] if backbone != "qwen3" else []
    told += ["frozen"] if parts.get("trainable") == "frozen" else []
    return f"{method}({','.join(told)})" if told else method


class DryRuns:
    """A server of dry runs in a folder that holds the workflow, its results and the library's source."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__))],
            cwd=folder,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ask(self) -> tuple[set[Job], dict[str, list[str]]]:
        """Return the jobs that would run now, and for each artifact that would be made otherwise, why, by its path."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert answer["status"] == 0, answer["said"][-3000:]
        return jobs(answer["said"]), answer["why"]

    def close(self) -> None:
        """End the server."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


def _answer() -> dict[str, Any]:
    from snakemake.cli import main

    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        try:
            main(["-n", "--configfile", CONFIG])
            status: Any = 0
        except SystemExit as end:
            status = end.code or 0
    return {"status": status, "said": said.getvalue(), "why": _why() if status == 0 else {}}


def _why() -> dict[str, list[str]]:
    from thoughtscope.config.load import Study
    from thoughtscope.config.parse import read_yaml
    from thoughtscope.upkeep.judge import reasons
    from thoughtscope.upkeep.plan import plan
    from thoughtscope.upkeep.stock import distrusted

    planned = plan(Study(read_yaml(Path(CONFIG)), Path("config"), CONFIG))
    unsafe = distrusted(planned)
    words = {one.path: reasons(one) or [why for path, why in unsafe.items() if path == one.path] for one in planned}
    return {str(path): why for path, why in words.items() if why}


def _serve() -> None:
    import pandas  # noqa: F401
    import pydantic  # noqa: F401
    import snakemake.api
    import snakemake.cli
    import snakemake.executors.dryrun
    import snakemake.persistence.file  # noqa: F401

    for _ in sys.stdin:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            try:
                answer = _answer()
            except BaseException:
                answer = {"status": 1, "said": traceback.format_exc()}
            print(json.dumps(answer), flush=True)
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    _serve()
