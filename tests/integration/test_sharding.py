"""bf16, ZeRO stages and offload change how a run is computed, not what it learns."""

from __future__ import annotations

import signal

import pytest
import torch
from safetensors.torch import load_file

from thoughtscope.training.status import CONTINUE

from .world import LT_TUNING, World, finish, interrupt, losses

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("deepspeed", "optimizer"), [("zero0", {}), ("zero2-offload", {"fused": True})], ids=["zero0", "zero2-offload"]
)
def test_bf16_follows_float32(world: World, deepspeed: str, optimizer: dict[str, bool]) -> None:
    exact = losses(world.once(LT_TUNING))
    training = {"precision": "bf16", "deepspeed": deepspeed, "optimizer": optimizer}
    output = world.train(f"bf16-{deepspeed}", LT_TUNING, training=training)
    assert losses(output) == pytest.approx(exact, rel=2e-2)
    assert losses(output) != exact, "bf16 must have been used"
    saved = load_file(output / "model/model.safetensors")
    masters = {name for name, value in saved.items() if not torch.equal(value, value.bfloat16().float())}
    assert masters, "what is saved are the float32 weights, not their bf16 copies"


def test_sharded_offloaded_parameters_on_two_ranks_go_on_where_they_were(world: World) -> None:
    training = {"precision": "bf16", "deepspeed": "zero3-offload"}
    command = world.command("zero3", LT_TUNING, 2, training=training)
    status, said = interrupt(command, signal.SIGTERM, lambda: world.updates("zero3") >= 6)
    assert status == CONTINUE, said
    done = finish(command)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "resumed at update" in done.stderr
    assert losses(world.output("zero3")) == pytest.approx(losses(world.once(LT_TUNING)), rel=2e-2)
    whole = load_file(world.output("zero3") / "model/model.safetensors")
    exact = load_file(world.once(LT_TUNING) / "model/model.safetensors")
    assert {name: value.shape for name, value in whole.items()} == {n: v.shape for n, v in exact.items()}
    assert all(torch.allclose(value, exact[name], atol=0.05) for name, value in whole.items())
