"""Accuracy while training: every point with the last stage's layout, beside it the current stage's own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
import torch

from thoughtscope.accuracy import predict
from thoughtscope.latents.generate import Decoding
from thoughtscope.reasoner import load_reasoner
from thoughtscope.run_id import RunId
from thoughtscope.schemas import CURRENT, LAST, OTHER_LATENTS
from thoughtscope.training.evaluator import lost_accuracy
from thoughtscope.training.trainer import ContinueLaterError

from .world import COCONUT, COT, LT_TUNING, World

PAUSE = RunId("chain", "qwen3", "pause", "full", 0)
FAST: dict[str, Any] = {"evaluation": {"every": 8, "validation_examples": 4}}


def measured(world: World, name: str, run: RunId, stopped: Callable[[], bool] = lambda: False, **changes: Any) -> Any:
    made = world.here(name, run, stopped, **{**FAST, **changes})
    made.execute()
    return made, pd.DataFrame(made.records.read("accuracy")), pd.DataFrame(made.records.read("predictions"))


def points(rows: pd.DataFrame, layout: str) -> list[tuple[int, int, str]]:
    part = rows[rows["layout"] == layout]
    return list(part[["step", "stage_index", "layout_stage"]].itertuples(index=False, name=None))


def test_every_measurement_has_the_last_stages_layout_and_the_current_one_beside_it(world: World) -> None:
    stages = {"overrides": {"methods": {"coconut": {"ending": {"learned_at": None}, "shares": [0.25, 0.3, 0.2]}}}}
    made, rows, answers = measured(world, "layouts", COCONUT, **stages)
    last = "3 of 3 steps removed"
    steps = [(0, 0), (4, 0), (8, 1), (9, 1), (12, 2), (16, 3)]  # every 8, and each stage's end
    assert points(rows, LAST) == [(step, stage, last) for step, stage in steps]
    assert points(rows, CURRENT) == [(step, stage, f"{stage} of 3 steps removed") for step, stage in steps[:-1]]
    assert rows[rows["layout"] == LAST]["mean_latents"].eq(6).all(), "two latents for each of three steps, from 0 on"
    current = rows[rows["layout"] == CURRENT].set_index("step")["mean_latents"]
    assert current.to_dict() == {0: 0, 4: 0, 8: 2, 9: 2, 12: 4}
    assert (answers.groupby(["step", "layout"]).size() == 32).all(), "each question once"
    assert [stage["accuracy"] for stage in made.progress.realised] == pytest.approx(
        [rows[(rows["step"] == step)]["accuracy"].iloc[-1] for step in (4, 9, 12, 16)]
    )


def test_a_model_that_chooses_its_latents_has_none_before_its_first_stage_with_latents(world: World) -> None:
    made, rows, _ = measured(world, "chosen", LT_TUNING)
    assert [stage["last_step"] for stage in made.progress.realised] == [4, 10, 16]
    assert [step for step, _, _ in points(rows, LAST)] == [0, 4, 8, 10, 16]
    assert rows[rows["step"] <= 4]["mean_latents"].eq(0).all()
    assert [point[0] for point in points(rows, CURRENT)] == [8, 10], "in text both layouts are the same"


def test_a_method_of_one_stage_is_measured_once(world: World) -> None:
    _, rows, _ = measured(world, "one-stage", COT)
    assert points(rows, CURRENT) == []
    assert [step for step, _, _ in points(rows, LAST)] == [0, 8, 16]


def test_a_run_that_goes_on_has_each_measurement_once(world: World) -> None:
    whole = measured(world, "whole", COCONUT)[1]
    for every in (1, 3):
        calls: list[int] = []

        def stopped(calls: list[int] = calls, every: int = every) -> bool:
            calls.append(1)
            return len(calls) % every == 0

        for _ in range(40):
            try:
                rows = measured(world, f"broken-{every}", COCONUT, stopped)[1]
                break
            except ContinueLaterError:
                continue
        pd.testing.assert_frame_equal(rows, whole)


def test_serial_passes_are_those_of_the_layout(world: World) -> None:
    """One pass for the prompt, one for each latent that waits for the pass before, one for each text token after."""
    free = {"evaluation": {**FAST["evaluation"], "max_new_tokens": 6}, "training": {"updates": 8}}
    sweeps = {"overrides": {"methods": {"coconut": {"fill": {"kind": "hidden", "sweeps": 2}}}}}
    for name, run, changes, prompt in (
        ("pause", PAUSE, {"overrides": {"methods": {"pause": {"yoked_to": None}}}}, 1),
        ("coconut", COCONUT, {}, 1 + 6),
        ("sweeps", COCONUT, sweeps, 1 + 2),
    ):
        answers = measured(world, f"passes-{name}", run, **free, **changes)[2]
        answers = answers[(answers["layout"] == LAST)]
        ended = answers["stopped"] == "eos"
        assert (answers["latents"] == 6).all()
        assert (answers["forward_passes"] == prompt + answers["visible_tokens"] - (~ended).astype(int)).all()


def test_labelled_tokens_are_those_that_the_loss_is_taken_at(world: World) -> None:
    made, _, _ = measured(world, "tokens", COCONUT)
    metrics = pd.DataFrame(made.records.read("metrics"))
    assert made.progress.labelled_tokens == metrics["labelled_tokens"].sum()
    assert made.progress.positions == metrics["positions"].sum()
    assert (metrics["labelled_tokens"] < metrics["computed_positions"]).all()
    assert (metrics["computed_positions"] <= metrics["positions"]).all()


def test_a_stage_that_loses_accuracy_by_more_than_chance_is_warned_of() -> None:
    good, bad = [True] * 60 + [False] * 4, [True] * 10 + [False] * 54
    assert lost_accuracy("two removed", bad, good, 0.95) == (
        "warning: stage 'two removed' ended at accuracy 0.156, the stage before at 0.938"
    )
    assert lost_accuracy("two removed", good, bad, 0.95) is None
    assert lost_accuracy("two removed", [*good[1:], False], good, 0.95) is None, "one question of 64"
    assert lost_accuracy("the first", bad, [], 0.95) is None


def test_the_best_model_by_validation_is_kept_next_to_the_last_one(world: World) -> None:
    destroyed = {"updates": 6, "optimizer": {"learning_rate": 0.5, "max_grad_norm": None}}
    run = world.here("best", COT, training=destroyed, evaluation={"every": 2, "keep_best": True})
    run.execute()
    best = run.progress.best
    assert best is not None
    assert best["step"] == 2, "the first of equally good ones"
    kept = load_reasoner(run.state_folder / "best")
    decoding = Decoding(**run.settings.evaluation.decoding)
    right = [row["correct"] for row in predict(kept, run.splits.validation, decoding)]
    assert sum(right) / len(right) == best["validation"]
    last = run.engine.take_weights()["model.model.norm.weight"]
    assert not torch.equal(kept.model.model.norm.weight, last)


@pytest.mark.parametrize("run", [COCONUT, LT_TUNING, COT], ids=lambda run: run.method)
def test_the_end_is_measured_with_other_numbers_of_latents_too(world: World, run: RunId) -> None:
    made = world.here(f"other-{run.method}", run, evaluation={"every": 16, "latents": [0, 3]})
    made.execute()
    rows = pd.DataFrame(made.records.read("accuracy"))
    found = rows[rows["split"].str.contains(OTHER_LATENTS, regex=False)].set_index("split")
    assert set(found["step"]) <= {made.progress.step}
    if run is COT:
        assert found.empty
        return
    assert list(found.index) == ["test, latents: 0", "test, latents: 3"]
    none, three = found["mean_latents"]
    assert none == 0
    assert three == 3 if run is COCONUT else 0 <= three <= 3


def test_epochs_decide_the_updates(world: World) -> None:
    run = world.here("epochs", COT, training={"epochs": 0.5, "batch_size": 8})
    assert run.curriculum.updates == math.ceil(len(run.splits.train) / 16)
    assert run.training.of_examples(len(run.splits.train) * 2).updates == math.ceil(len(run.splits.train) / 8)
    assert world.here("updates", COT).curriculum.updates == 16
