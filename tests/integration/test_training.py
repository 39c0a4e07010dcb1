"""Real runs in real processes: what they write, that they resume exactly, and that ranks change nothing."""

from __future__ import annotations

import json
import random
import signal
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from thoughtscope.artifacts import damaged
from thoughtscope.launch.status import CONTINUE
from thoughtscope.run_id import RunId

from .world import COCONUT, COT, LT_TUNING, World, content, finish, interrupt, losses

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
    assert card["settings"]["fill"]["kind"] == "hidden"
    AutoModelForCausalLM.from_pretrained(output / "model")
    assert not list((output.parent / "state").iterdir()), "the resumable state of a finished run is gone"


def test_a_run_killed_at_random_moments_ends_bit_for_bit_as_if_nothing_had_happened(world: World) -> None:
    expected = content(world.once(LT_TUNING, training={"updates": 60}))
    command = world.command("broken", LT_TUNING, training={"updates": 60, "save_every_seconds": 0.2})
    rng = random.SystemRandom()
    kinds = rng.sample([signal.SIGTERM, signal.SIGUSR1, signal.SIGKILL], 3)
    for kind in kinds:
        after = world.updates("broken") + rng.randrange(1, 12)
        status, said = interrupt(command, kind, lambda after=after: world.updates("broken") >= after)
        assert status == (-signal.SIGKILL if kind == signal.SIGKILL else CONTINUE), f"{kinds} {after}: {said[-3000:]}"
    # a rank that is told behind its launcher's back: the launcher starts it again until the run is done
    after = world.updates("broken") + rng.randrange(1, 6)
    status, said = interrupt(command, signal.SIGUSR1, lambda: world.updates("broken") >= after, rank=True)
    assert status == 0, said[-3000:]
    assert "resumed at update" in said.partition("asked to stop, start again to go on")[2]
    assert content(world.output("broken")) == expected


@pytest.mark.parametrize("run", [COT, COCONUT, LT_TUNING], ids=lambda run: str(run.method))
def test_two_ranks_give_the_losses_of_one(world: World, run: RunId) -> None:
    one = world.losses_here(run)
    two = losses(world.once(run, 2))
    assert two == pytest.approx(one, rel=2e-4)  # float32; sums over labels come in another order


@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize("run", [COT, COCONUT, LT_TUNING], ids=lambda run: str(run.method))
def test_zero_stages_give_the_losses_of_plain_data_parallelism(world: World, run: RunId, stage: int) -> None:
    plain = world.losses_here(run, training={"updates": 8})
    name = f"zero{stage}-{run.method}"
    sharded = losses(world.train(name, run, 2, training={"updates": 8, "deepspeed": f"zero{stage}"}))
    assert sharded == pytest.approx(plain, rel=5e-4)


def test_a_frozen_run_moves_nothing_of_its_backbone(world: World) -> None:
    run = RunId("chain", "qwen3", "coconut", "lora", 0)
    output = world.train("lora", run)
    before = load_file(world.folder / "backbone/model/model.safetensors")
    after = load_file(output / "model/model.safetensors")
    moved = {name for name in before if not torch.equal(before[name], after[name][: len(before[name])])}
    assert all("proj" in name for name in moved), "merged adapters alone differ: norms and the old tokens' rows do not"
    assert any("proj" in name for name in moved)
    live = world.once(COCONUT)
    name = "model.norm.weight"
    assert not torch.equal(before[name], load_file(live / "model/model.safetensors")[name])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"overrides": {"methods": {"lt-tuning": {"curriculum": None}}}}, None),
        ({"training": {"optimizer": {"learning_rate": 1e30, "max_grad_norm": None}}}, "lower the learning rate"),
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
    done = finish(world.command("bad", run, **changes))
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode != 0
    assert len(errors) == 1, done.stderr[-3000:]
    assert expected in errors[0]
    assert not world.output("bad").exists()
