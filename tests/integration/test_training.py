"""Real runs in real processes: what they write, that they resume exactly, and that ranks change nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from thoughtscope import tables
from thoughtscope.artifacts import artifact_folder, damaged, sha256
from thoughtscope.backbones.make import make_tiny
from thoughtscope.backbones.settings import Pretraining
from thoughtscope.config.load import Study
from thoughtscope.config.parse import merge
from thoughtscope.config.run import Run
from thoughtscope.config.slices import train_slice
from thoughtscope.plugins import implementation
from thoughtscope.tasks.prepare import write_task
from thoughtscope.training.status import CONTINUE

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@dataclass
class World:
    """A prepared task and backbone, and a way to train on them."""

    folder: Path

    def study(self, run: Run, changes: Mapping[str, Any]) -> Study:
        raw = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
        grid = {"task": run.task, "backbone": run.backbone, "trainable": run.trainable, "seed": run.seed}
        base = {"runs": [{**grid, "method": method} for method in {run.method, "coconut"}], "figures": {}}
        return Study(merge({**raw, **base, "latent_probes": None}, changes), ROOT / "config")

    def command(self, name: str, run: Run, ranks: int = 1, **changes: Any) -> list[str]:
        return [
            *(sys.executable, str(ROOT / "workflow/scripts/train.py"), "--ranks", str(ranks)),
            *("--settings", train_slice(self.study(run, changes), run)),
            *("--task", str(self.folder / "task"), "--backbone", str(self.folder / "backbone")),
            *("--state", str(self.folder / name / "state"), "--output", str(self.output(name))),
        ]

    def output(self, name: str) -> Path:
        return self.folder / name / "out"

    def train(self, name: str, run: Run, ranks: int = 1, **changes: Any) -> Path:
        done = subprocess.run(
            self.command(name, run, ranks, **changes), env=ENVIRONMENT, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return self.output(name)


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
COCONUT = Run("chain", "qwen3", "coconut", "live", 0)
LT_TUNING = Run("chain", "qwen3", "lt-tuning", "live", 0)
COT = Run("chain", "qwen3", "cot", "live", 0)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    made = World(folder)
    study = made.study(COCONUT, {})
    with artifact_folder(folder / "task", {}) as target:
        write_task("chain", implementation("tasks", "chain", "test"), study.task("chain"), target)
    pretraining = Pretraining(tasks=["chain"], updates=10, batch_size=16)
    with artifact_folder(folder / "backbone", {}) as target:
        make_tiny(study.backbone("qwen3"), pretraining, [folder / "task"], target, "test")
    return made


def losses(output: Path) -> list[float]:
    found: list[float] = tables.read(output / "metrics.parquet", tables.METRICS).column("loss").to_pylist()
    return found


def content(output: Path) -> dict[str, str]:
    return {file: sha256(output / file) for file in ("model/model.safetensors", "accuracy.parquet", "metrics.parquet")}


def test_a_run_writes_a_whole_artifact_with_a_model_that_loads(world: World) -> None:
    output = world.train("whole", COCONUT)
    assert damaged(output) == []
    schedule = json.loads((output / "schedule.json").read_text())
    assert schedule["updates"] == 16
    assert [stage["latents"] for stage in schedule["stages"]] == [False, True, True, True]
    assert schedule["stages"][-1]["last_step"] == 16
    assert len(list((output / "checkpoints").iterdir())) == 4
    card = json.loads((output / "model/thoughtscope.json").read_text())
    assert card["settings"]["fill"]["kind"] == "hidden"
    AutoModelForCausalLM.from_pretrained(output / "model")
    assert not list((world.folder / "whole/state").iterdir()), "the resumable state of a finished run is gone"


def test_an_interrupted_run_ends_bit_for_bit_as_an_uninterrupted_one(world: World) -> None:
    expected = content(world.train("straight", LT_TUNING, training={"updates": 60}))
    command = world.command("broken", LT_TUNING, training={"updates": 60, "save_every_seconds": 0.2})
    metrics = None
    for kind, after in ((signal.SIGTERM, 5), (signal.SIGKILL, 25)):
        process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, start_new_session=True)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            metrics = next((world.folder / "broken/state").glob("*/metrics.jsonl"), None)
            if metrics and len(metrics.read_text().splitlines()) >= after:
                break
            time.sleep(0.05)
        if kind == signal.SIGKILL:
            os.killpg(process.pid, kind)
        else:
            process.send_signal(kind)
        status = process.wait(timeout=60)
        process.communicate()
        assert status == (CONTINUE if kind == signal.SIGTERM else -signal.SIGKILL)
        assert list((world.folder / "broken/state").glob("*/step-*")), "there is a state to go on from"
    # the metrics of the last start reach no further than what was lost
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "resumed at update" in done.stderr
    assert content(world.output("broken")) == expected


@pytest.mark.parametrize("run", [COT, COCONUT, LT_TUNING], ids=lambda run: str(run.method))
def test_two_ranks_give_the_losses_of_one(world: World, run: Run) -> None:
    one = losses(world.train(f"one-{run.method}", run))
    two = losses(world.train(f"two-{run.method}", run, ranks=2))
    assert two == pytest.approx(one, rel=2e-4)  # float32; sums over labels come in another order


@pytest.mark.parametrize("stage", [1, 2])
def test_zero_stages_give_the_losses_of_plain_data_parallelism(world: World, stage: int) -> None:
    plain = losses(world.train(f"plain-{stage}", COCONUT, training={"updates": 8}))
    sharded = losses(world.train(f"zero{stage}", COCONUT, 2, training={"updates": 8, "deepspeed": f"zero{stage}"}))
    assert sharded == pytest.approx(plain, rel=5e-4)


def test_gradient_accumulation_changes_nothing(world: World) -> None:
    whole = losses(world.train("whole-batch", COCONUT, training={"updates": 8}))
    parts = losses(world.train("parts", COCONUT, training={"updates": 8, "micro_batch_size": 4}))
    assert parts == pytest.approx(whole, rel=2e-4)


def test_a_frozen_run_moves_nothing_of_its_backbone(world: World) -> None:
    run = Run("chain", "qwen3", "coconut", "frozen", 0)
    output = world.train("frozen", run)
    before = load_file(world.folder / "backbone/model.safetensors")
    after = load_file(output / "model/model.safetensors")
    moved = {name for name in before if not torch.equal(before[name], after[name][: len(before[name])])}
    assert all("proj" in name for name in moved), "merged adapters alone differ: norms and the old tokens' rows do not"
    assert any("proj" in name for name in moved)
    live = world.train("live", COCONUT)
    name = "model.norm.weight"
    assert not torch.equal(before[name], load_file(live / "model/model.safetensors")[name])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"overrides": {"methods": {"lt-tuning": {"curriculum": None}}}}, None),
        ({"training": {"optimizer": {"learning_rate": 1e30, "clip": None}}}, "lower the learning rate"),
        ({"training": {"deepspeed": "zero3"}}, "stage 3 is not supported"),
        ({"training": {"gradient_checkpointing": True}}, "the cache that latents need"),
    ],
)
def test_a_run_that_cannot_go_on_says_why_in_one_line(
    world: World, changes: dict[str, Any], expected: str | None
) -> None:
    if expected is None:
        tight = {"tau": 0.0, "quantile": None, "keep": 1.0, "cap": 4, "min_latents": 1.0}
        stages = [
            {"name": "text", "share": 0.5},
            {"name": "latents", "share": 0.5, "insertion": tight, "fill": {"kind": "hidden"}},
        ]
        changes = {"overrides": {"methods": {"lt-tuning": {"curriculum": stages}}}}
        expected = "stage 'latents': it inserts 0.000 latents a response, fewer than its minimum of 1.0"
        run = LT_TUNING
    else:
        run = COT
    done = subprocess.run(
        world.command("bad", run, **changes), env=ENVIRONMENT, capture_output=True, text=True, timeout=120
    )
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode != 0
    assert len(errors) == 1, done.stderr[-3000:]
    assert expected in errors[0]
    assert not world.output("bad").exists()
