"""Each guard fires in a real run that goes wrong in its way, and says what to do."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from thoughtscope.errors import UserError
from thoughtscope.run_id import RunId
from thoughtscope.training.engine import Engine

from .world import COCONUT, COT, LT_TUNING, World, finish, with_fault

FROZEN = RunId("chain", "qwen3", "coconut", "lora", 0)


@pytest.mark.parametrize(
    ("run", "training", "expected"),
    [
        (
            COT,
            {"abort_gradient_norm": 1e-6},
            "gradient norm is .* above training.abort_gradient_norm; lower",
        ),
        (COT, {"optimizer": {"learning_rate": 1e-30}}, "no weight changed up to update 8; raise the learning rate"),
        (COCONUT, {"updates": 2}, "2 updates leave it none; raise training.updates or its share"),
    ],
)
def test_a_run_that_goes_nowhere_stops(world: World, run: RunId, training: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        world.here("nowhere", run, training=training).execute()


def test_a_loss_that_is_not_finite_stops_the_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = world.here("infinite", COT)
    with torch.no_grad():
        run.engine.network.model.get_input_embeddings().weight.fill_(float("nan"))
    with pytest.raises(UserError, match="the loss is nan at update 1; lower the learning rate or clip harder"):
        run.update()


def test_a_frozen_parameter_that_moves_stops_the_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = world.here("moved", FROZEN, training={"updates": 8})
    norm = run.engine.network.model.get_parameter("model.norm.weight")
    real = Engine.update

    def moving(self: Engine, *arguments: Any) -> Any:
        norm.data[0] += 1e-6
        return real(self, *arguments)

    monkeypatch.setattr(Engine, "update", moving)
    with pytest.raises(UserError, match="a parameter of the frozen backbone moved"):
        run.execute()


def test_a_stage_without_a_single_latent_stops_the_run(world: World) -> None:
    nowhere = {"tau": 0.0, "keep": 1.0, "cap": 4, "min_latents": 0.0}
    stages = [{"name": "latents", "share": 1.0, "insertion": nowhere, "fill": {"kind": "hidden"}}]
    method = {"methods": {"lt-tuning": {"curriculum": stages}}}
    with pytest.raises(UserError, match="stage 'latents': it inserts 0\\.000 latents a response"):
        world.here("thoughtless", LT_TUNING, overrides=method).execute()


@pytest.mark.slow
def test_out_of_memory_says_what_to_lower_and_what_was_in_use(world: World) -> None:
    done = finish(world.command("memory", COCONUT), **with_fault("memory:0:2"))
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1
    assert len(errors) == 1, done.stderr[-3000:]
    assert errors[0].startswith("error: out of memory while training: in use were ")
    assert "GiB of the machine's memory at most; lower training.micro_batch_size (now 16)" in errors[0]
    assert errors[0].endswith(", or train on several ranks with training.deepspeed: zero2")


def test_out_of_memory_while_answering_names_the_other_batch_size(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.here("memory-here", COT)

    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(type(run.curriculum.reasoner), "generate", full)
    with pytest.raises(UserError, match=r"while answering questions: .*; lower evaluation.batch_size \(now 256\)"):
        run.execute()
