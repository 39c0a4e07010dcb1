"""A prepared task and backbone in a folder of their own, and real processes that train on them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import deepspeed
import psutil
import torch.distributed as dist
import yaml

from thoughtscope import schemas
from thoughtscope.artifacts import artifact_folder, digest, sha256
from thoughtscope.backbones.load import MODEL
from thoughtscope.backbones.make import make_tiny
from thoughtscope.backbones.settings import Pretraining
from thoughtscope.config.load import Study
from thoughtscope.config.run_settings import run_settings, saving
from thoughtscope.parsing import merge, parse
from thoughtscope.run_id import RunId
from thoughtscope.tasks.prepare import EXAMPLES, write_task
from thoughtscope.training.report import Report
from thoughtscope.training.settings import TrainSettings
from thoughtscope.training.trainer import Trainer

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
FAULTS = ROOT / "tests/faults/inject"
COCONUT = RunId("chain", "qwen3", "coconut", "full", 0)
LT_TUNING = RunId("chain", "qwen3", "lt-tuning", "full", 0)
COT = RunId("chain", "qwen3", "cot", "full", 0)
# another one in each run of the tests, but the same in all their processes, which have to collect the same tests
NEW_SEED = random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID")).randrange(10**6)


@dataclass
class World:
    """A prepared task and backbone, and ways to train on them."""

    folder: Path
    done: dict[str, Path] = field(default_factory=dict)

    def study(self, run: RunId, changes: Mapping[str, Any]) -> Study:
        raw = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
        grid = {"task": run.task, "backbone": run.backbone, "trainable": run.trainable, "seed": run.seed}
        base = {"runs": [{**grid, "method": method} for method in {run.method, "coconut"}], "figures": {}}
        return Study(merge({**raw, **base, "probes": {}}, changes), ROOT / "config")

    def settings(self, run: RunId, **changes: Any) -> str:
        return json.dumps(run_settings(self.study(run, changes), run), sort_keys=True)

    def command(self, name: str, run: RunId, ranks: int = 1, **changes: Any) -> list[str]:
        return [
            *(sys.executable, str(ROOT / "workflow/scripts/train.py"), "--ranks", str(ranks)),
            *("--settings", self.settings(run, **changes)),
            json.dumps({"saving": saving(self.study(run, changes), run)}),
            *("--task", str(self.folder / "task"), "--backbone", str(self.folder / "backbone")),
            *("--state", str(self.folder / name / "state"), "--output", str(self.output(name))),
        ]

    def output(self, name: str) -> Path:
        return self.folder / name / "out"

    def states(self, name: str) -> list[Path]:
        return sorted((self.folder / name / "state").glob("*/step-*"))

    def train(self, name: str, run: RunId, ranks: int = 1, **changes: Any) -> Path:
        done = finish(self.command(name, run, ranks, **changes))
        assert done.returncode == 0, done.stderr[-3000:]
        return self.output(name)

    def here(self, name: str, run: RunId, stopped: Callable[[], bool] = lambda: False, **changes: Any) -> Trainer:
        """Return the run as an object of this process, to be executed: quicker, and open to look into."""
        raw = json.loads(self.settings(run, **changes))
        raw["training"] |= saving(self.study(run, changes), run)
        settings = parse(TrainSettings, raw, "train settings")
        rows = schemas.read(self.folder / "task" / EXAMPLES, schemas.REASONING).to_pylist()
        state = self.folder / name / "state/here"
        state.mkdir(parents=True, exist_ok=True)
        alone()
        report = Report(run.path, active=False)
        backbone = self.folder / "backbone" / MODEL
        tokens = self.folder / "tokens" / digest([settings.method, settings.prompting.model_dump()])
        return Trainer(settings, rows, tokens, backbone, None, state, report, stopped, time.monotonic)

    def losses_here(self, run: RunId, **changes: Any) -> list[float]:
        """Return the losses of a run that this process executes, alone."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            made = self.here(folder, run, **changes)
            made.execute()
            return [row["loss"] for row in made.records.read("metrics")]

    def once(self, run: RunId, ranks: int = 1, **changes: Any) -> Path:
        """Return the output of a run of these settings, which several tests may compare with."""
        key = f"{ranks} {self.settings(run, **changes)}"
        if key not in self.done:
            self.done[key] = self.train(f"once-{len(self.done)}", run, ranks, **changes)
        return self.done[key]

    def updates(self, name: str) -> int:
        """Return how many updates the unfinished run `name` has noted."""
        metrics = next((self.folder / name / "state").glob("*/metrics.jsonl"), None)
        return metrics.read_text().count("\n") if metrics else 0


def make_world(folder: Path) -> World:
    """Write a small task and backbone into `folder`."""
    made = World(folder)
    study = made.study(COCONUT, {})
    with artifact_folder(folder / "task", {}) as target:
        write_task("chain", study.task("chain"), target)
    pretraining = Pretraining(tasks=["chain"], updates=10, batch_size=16)
    with artifact_folder(folder / "backbone", {}) as target:
        (target / MODEL).mkdir()
        make_tiny(study.backbone("qwen3"), pretraining, 0, [folder / "task"], target / MODEL, "test")
    return made


def finish(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        command, env={**ENVIRONMENT, **environment}, capture_output=True, text=True, timeout=300, check=False
    )


def with_fault(fault: str) -> dict[str, str]:
    """Return the environment in which ranks suffer `fault`: "<kind>:<rank>:<update>" (see tests/faults/inject)."""
    path = os.pathsep.join(filter(None, [str(FAULTS), os.environ.get("PYTHONPATH", "")]))
    return {"PYTHONPATH": path, "THOUGHTSCOPE_TEST_FAULT": fault}


def interrupt(
    command: list[str], kind: signal.Signals, when: Callable[[], bool], *, rank: bool = False
) -> tuple[int, str]:
    """Start a program, send it a signal once `when` holds, and return how it ended and what it said.

    SIGKILL goes to the whole group at once, as a power cut would; other signals to the program alone, or to a rank
    behind its back.
    """
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    while not when() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    if process.poll() is None:
        if rank:
            launched = psutil.Process(process.pid).children(recursive=True)
            next(one for one in launched if "thoughtscope.training.worker" in one.cmdline()).send_signal(kind)
        elif kind == signal.SIGKILL:
            os.killpg(process.pid, kind)
        else:
            process.send_signal(kind)
    said = process.communicate(timeout=120)[1]
    return process.returncode, said


def alone() -> None:
    """Let this process be the only rank of a group, as torchrun would."""
    if not dist.is_initialized():
        os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        deepspeed.init_distributed(dist_backend="gloo", verbose=False)


def losses(output: Path) -> list[float]:
    """Return the loss of each update of a finished run."""
    found: list[float] = schemas.read(output / "metrics.parquet", schemas.METRICS).column("loss").to_pylist()
    return found


def content(output: Path) -> dict[str, str]:
    """Return the digests of what a finished run measured and learned."""
    return {file: sha256(output / file) for file in ("model/model.safetensors", "accuracy.parquet", "metrics.parquet")}
