"""What curricula do in real runs: tokens that a method adds, latents at their limit, and a stage for each token."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from thoughtscope.errors import UserError
from thoughtscope.run_id import RunId
from thoughtscope.training.network import token_tables
from thoughtscope.training.trainer import Trainer

from .world import COCONUT, LT_TUNING, World

ICOT = RunId("chain", "qwen3", "icot", "full", 0)


def after_the_first_stage(world: World, name: str, run: RunId, **changes: Any) -> tuple[Trainer, dict[str, Any]]:
    """Train three updates, begin the second stage; return the run and its token tables just before that."""
    made = world.here(name, run, **changes)
    made.begin_stage()
    for _ in range(3):
        made.update()
    weights = made.engine.take_weights()
    made.progress.stage, made.progress.stage_start = 1, 3
    made.begin_stage()
    return made, {table: weights[table].clone() for table in token_tables(made.engine.network)}


def test_new_tokens_start_where_their_layout_first_has_them(world: World) -> None:
    plain, before = after_the_first_stage(world, "plain", COCONUT)
    marked, trained = after_the_first_stage(
        world, "marked", COCONUT, overrides={"methods": {"coconut": {"empty_markers": True}}}
    )
    assert list(before) == list(trained)
    for table in before:
        now = plain.engine.take_weights()[table]
        assert all(torch.equal(now[new], now[old]) for new, old in plain.parts.new_rows)
        assert not all(torch.equal(before[table][new], now[new]) for new, _ in plain.parts.new_rows), "the model moved"
        kept = marked.engine.take_weights()[table]
        assert torch.equal(kept, trained[table]), "markers that stood in the first stage keep what they learned there"


def test_a_stage_with_more_latents_than_are_measured_is_refused(world: World) -> None:
    with pytest.raises(UserError, match=r"stage 'dynamic latents': .* latents, a response may have 2; raise"):
        after_the_first_stage(world, "limited", LT_TUNING, evaluation={"max_latents": 2})
    after_the_first_stage(world, "unlimited", LT_TUNING)


def test_icot_goes_through_a_stage_for_each_token_and_resets_its_optimiser_at_each(world: World) -> None:
    run = world.here("icot", ICOT, training={"updates": 24, "batch_size": 8})
    run.execute()
    names = [stage["name"] for stage in run.progress.realised]
    assert names == [f"{removed} tokens of the steps removed" for removed in range(6)] + ["all steps removed"]
    assert not any(stage["latents"] for stage in run.progress.realised)
    labels = [row["labelled_tokens"] for row in run.records.read("metrics")]
    assert labels[0] == pytest.approx(8 * 9, abs=2), "whole responses, but for the smoothing's few tokens"
    assert labels[-1] == 8 * 3, "the answer alone"
    last = run.progress.realised[-1]
    assert run.progress.optimizer_steps == last["last_step"] - last["first_step"]
