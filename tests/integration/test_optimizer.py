"""What the optimiser does in real runs: accumulation, clipping, schedules, stage switches, and going on exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from thoughtscope.run_id import RunId
from thoughtscope.training.events import EVENTS_FOLDER
from thoughtscope.training.trainer import ContinueLaterError, Trainer

from .world import COCONUT, COT, LT_TUNING, World

FROZEN = RunId("chain", "qwen3", "coconut", "lora", 0)
FORMS = [
    {},
    {"deepspeed": "zero1"},
    {"deepspeed": "zero2"},
    {"precision": "bf16"},
    {"precision": "bf16", "deepspeed": "zero2"},
    {"deepspeed": "zero3"},
]


def metrics(run: Trainer, column: str) -> list[float]:
    return [row[column] for row in run.records.read("metrics")]


def executed(world: World, name: str, **training: Any) -> Trainer:
    run = world.here(name, COCONUT, training=training)
    run.execute()
    return run


def test_gradient_accumulation_changes_nothing(world: World) -> None:
    whole = world.losses_here(COCONUT, training={"updates": 8})
    parts = world.losses_here(COCONUT, training={"updates": 8, "micro_batch_size": 4})
    assert parts == pytest.approx(whole, rel=2e-4)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_gradients_are_clipped_after_their_norm_is_measured(world: World, form: dict[str, str]) -> None:
    run = world.here(f"clipped {form}", COT, training={"optimizer": {"max_grad_norm": 1e-3}, **form})
    run.begin_stage()
    run.update()
    moments = run.engine.take_moments()
    first = [value.double() for name, value in moments.items() if name.startswith("exp_avg/")]
    norm = torch.sqrt(sum((value**2).sum() for value in first))
    assert metrics(run, "gradient_norm")[0] > 0.1
    assert float(norm) == pytest.approx((1 - 0.9) * 1e-3, rel=1e-2)  # AdamW's first moment after one update


def test_warm_up_and_cosine_reach_the_optimiser(world: World) -> None:
    run = executed(world, "cosine", updates=8, optimizer={"learning_rate": 1e-3, "schedule": "cosine", "warmup": 0.25})
    expected = [0.5, 1.0, 1.0, 0.933, 0.75, 0.5, 0.25, 0.067]
    assert metrics(run, "learning_rate") == pytest.approx([1e-3 * factor for factor in expected], abs=1e-6)
    assert run.engine.optimizer.param_groups[0]["lr"] == metrics(run, "learning_rate")[-1]


def test_a_switch_of_stage_does_to_the_optimiser_what_its_policy_says(world: World) -> None:
    optimizer = {"learning_rate": 1e-3, "warmup_updates_at_switch": 4}
    keep, reset, rewarm = (
        executed(world, policy, updates=12, optimizer={**optimizer, "at_stage_switch": policy})
        for policy in ("keep", "reset", "rewarm")
    )
    switches = [stage["last_step"] for stage in keep.progress.realised]
    first = switches[0]
    assert metrics(keep, "loss")[: first + 1] == metrics(reset, "loss")[: first + 1]
    assert metrics(keep, "loss")[first + 1] != metrics(reset, "loss")[first + 1]
    assert metrics(reset, "loss")[first + 1] != metrics(rewarm, "loss")[first + 1]
    assert set(metrics(reset, "learning_rate")) == {1e-3}
    assert metrics(rewarm, "learning_rate")[first : first + 2] == pytest.approx([2.5e-4, 5e-4])
    assert keep.progress.optimizer_steps == 12
    assert reset.progress.optimizer_steps == rewarm.progress.optimizer_steps == 12 - switches[-2]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_reset_optimiser_starts_like_a_fresh_one(world: World, form: dict[str, str]) -> None:
    run = world.here(f"fresh {form}", COT, training=form)
    run.begin_stage()
    weights = run.engine.take_weights()
    run.update()
    once = run.engine.take_weights()
    run.engine.put_weights(weights)
    run.engine.forget_moments()
    run.progress.step = 0
    run.update()
    again = run.engine.take_weights()
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert any(not torch.equal(once[name], weights[name]) for name in once)


@pytest.mark.parametrize(
    ("run", "form"),
    [
        *((LT_TUNING, form) for form in FORMS[:-1]),
        (FROZEN, {}),
        (FROZEN, {"precision": "bf16"}),
    ],
    ids=str,
)
def test_every_form_of_the_optimiser_resumes_exactly(world: World, run: RunId, form: dict[str, str]) -> None:
    changes = {"training": form, "lora": {"dropout": 0.1}}  # so that random states matter too
    expected = world.here(f"straight {run.trainable} {form}", run, **changes)
    expected.execute()
    name = f"resumed {run.trainable} {form}"
    for after in (3, 11):
        broken = world.here(name, run, lambda after=after: world.updates(name) >= after, **changes)
        with pytest.raises(ContinueLaterError, match=f"saved at update {after}"):
            broken.execute()
    again = world.here(name, run, **changes)
    again.execute()
    assert metrics(again, "loss") == metrics(expected, "loss")
    one, other = expected.engine.take_weights(), again.engine.take_weights()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_event_files_have_each_update_once_also_after_a_resume(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(EVENTS_FOLDER, str(tmp_path))
    run = world.here("events", COCONUT, training={"save_every_seconds": 1e-6})
    save = run.save
    monkeypatch.setattr(run, "save", lambda: save() if run.progress.step == 3 else None)
    run.stop_asked = lambda: world.updates("events") >= 6  # noted and not saved, as if it had been killed
    with pytest.raises(ContinueLaterError):
        run.execute()
    assert [path.name for path in world.states("events")] == ["step-00000003"]
    again = world.here("events", COCONUT)
    again.execute()
    events = EventAccumulator(str(tmp_path / COCONUT.path))
    events.Reload()
    assert [event.step for event in events.Scalars("metrics/loss")] == list(range(1, 17))
    assert [event.value for event in events.Scalars("metrics/loss")] == pytest.approx(metrics(again, "loss"))
    measured = sorted({0, 8, 16, *(stage["last_step"] for stage in again.progress.realised)})
    assert [event.step for event in events.Scalars("accuracy/test/last/accuracy")] == measured
