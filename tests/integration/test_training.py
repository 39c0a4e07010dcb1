"""Real runs in real processes: what they write, that they resume exactly, and why one does not go on."""

from __future__ import annotations

import json
import random
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from thoughtscope.artifacts import damaged
from thoughtscope.errors import UserError
from thoughtscope.launch.status import CONTINUE
from thoughtscope.run_id import RunId

from .world import COCONUT, COT, LT_TUNING, NEW_SEED, World, content, finish, interrupt

pytestmark = pytest.mark.slow


def test_a_run_writes_a_whole_artifact_with_a_model_that_loads(world: World) -> None:
    output = world.once(COCONUT)
    assert damaged(output) == []
    schedule = json.loads((output / "schedule.json").read_text())
    assert schedule["updates"] == 16
    assert [stage["latents"] for stage in schedule["stages"]] == [False, True, True, True]
    assert schedule["stages"][-1]["last_step"] == 16
    assert len(list((output / "checkpoints").iterdir())) == 4
    assert json.loads((output / "spellings.json").read_text()) == {}
    card = json.loads((output / "model/thoughtscope.json").read_text())
    assert card["method"]["fill"]["kind"] == "hidden"
    AutoModelForCausalLM.from_pretrained(output / "model")
    assert not list((output.parent / "state").iterdir()), "the resumable state of a finished run is gone"


@pytest.mark.parametrize("seed", [NEW_SEED], ids="seed-{}".format)
def test_a_run_killed_at_random_moments_ends_bit_for_bit_as_if_nothing_had_happened(world: World, seed: int) -> None:
    expected = content(world.once(LT_TUNING, training={"updates": 60}))
    command = world.command("broken", LT_TUNING, training={"updates": 60, "save_every_seconds": 0.2})
    rng = random.Random(seed)
    kinds = rng.sample([signal.SIGTERM, signal.SIGUSR1, signal.SIGKILL], 3)
    for kind in kinds:
        after = world.updates("broken") + rng.randrange(1, 12)
        status, said = interrupt(command, kind, lambda after=after: world.updates("broken") >= after)
        assert status == (-signal.SIGKILL if kind == signal.SIGKILL else CONTINUE), f"{kinds} {after}: {said[-3000:]}"
    # a signal to a rank alone, not to its launcher: the launcher starts it again until the run is done
    after = world.updates("broken") + rng.randrange(1, 6)
    status, said = interrupt(command, signal.SIGUSR1, lambda: world.updates("broken") >= after, rank=True)
    assert status == 0, said[-3000:]
    assert "resumed at update" in said.partition("asked to stop, start again to go on")[2]
    assert content(world.output("broken")) == expected


def test_an_adapter_moves_nothing_of_its_backbone(world: World, tmp_path: Path) -> None:
    run = world.here("lora", RunId("chain", "qwen3", "coconut", "lora", 0))
    run.execute()
    run.save_model(tmp_path)
    before, after = (load_file(folder / "model.safetensors") for folder in (world.folder / "backbone/model", tmp_path))
    moved = {name for name in before if not torch.equal(before[name], after[name][: len(before[name])])}
    assert all("proj" in name for name in moved), "merged adapters alone differ: norms and the old tokens' rows do not"
    assert any("proj" in name for name in moved)
    full = load_file(world.once(COCONUT) / "model/model.safetensors")
    assert not torch.equal(before["model.norm.weight"], full["model.norm.weight"])


def test_a_run_that_cannot_go_on_says_why_in_one_line(world: World) -> None:
    too_fast = {"training": {"optimizer": {"learning_rate": 1e30, "max_grad_norm": None}}}
    done = finish(world.command("bad", COT, **too_fast))
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode != 0
    assert len(errors) == 1, done.stderr[-3000:]
    assert "lower the learning rate" in errors[0]
    assert not world.output("bad").exists()


@pytest.mark.parametrize("trainable", ["full", "lora"])
def test_gradient_checkpointing_changes_no_loss(world: World, trainable: str) -> None:
    run = RunId("chain", "qwen3", "lt-tuning", trainable, 0)
    plain = world.losses_here(run, training={"updates": 6})
    again = world.losses_here(run, training={"updates": 6, "gradient_checkpointing": True})
    assert again == pytest.approx(plain, rel=1e-6)


def test_a_run_that_cannot_begin_is_refused(world: World) -> None:
    tight = {"tau": 0.0, "quantile": None, "keep": 1.0, "cap": 4, "min_latents": 1.0}
    stages = [
        {"name": "text", "share": 0.5},
        {"name": "latents", "share": 0.5, "insertion": tight, "fill": {"kind": "hidden"}},
    ]
    run = world.here("none", LT_TUNING, overrides={"methods": {"lt-tuning": {"curriculum": stages}}})
    run.progress.stage = 1
    with pytest.raises(UserError, match=r"it inserts 0\.000 latents a response, fewer than its minimum of 1\.0"):
        run.begin_stage()
