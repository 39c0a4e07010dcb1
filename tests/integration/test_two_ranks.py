"""Two ranks learn what one does at every ZeRO stage, hold little, and resume from another number of ranks."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from thoughtscope.run_id import RunId
from thoughtscope.training.trainer import ContinueLaterError

from .world import COCONUT, COT, LT_TUNING, ROOT, World, finish

pytestmark = pytest.mark.slow
RUNS = {run.method: run for run in (COT, COCONUT, LT_TUNING)}
STAGES = {"one": {}, **{f"zero{stage}": {"deepspeed": f"zero{stage}"} for stage in (1, 2, 3)}}
STAGES["zero3, checkpointing"] = {"deepspeed": "zero3", "gradient_checkpointing": True}
HELD = [{}, {"deepspeed": "zero1"}, {"precision": "bf16", "deepspeed": "zero2"}, {"deepspeed": "zero3"}]
OFFLOADED = {"precision": "bf16", "deepspeed": "zero3-offload"}
REGROUPED = {"updates": 20, "deepspeed": "zero1"}

Found = list[dict[str, Any]]


def case(run: RunId, training: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"run": run.path, "training": training, **more}


def until(world: World, name: str, after: int) -> None:
    """Train alone until some updates are done."""
    with pytest.raises(ContinueLaterError):
        world.here(name, COCONUT, lambda: world.updates(name) >= after, training=REGROUPED).execute()


@pytest.fixture(scope="module")
def found(world: World, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What each of two ranks found in all cases."""
    results = tmp_path_factory.mktemp("results")
    cases = {
        f"{method} {name}": case(run, {"updates": 8, **STAGES[name]}) for method, run in RUNS.items() for name in STAGES
    }
    cases |= {f"held {i}": case(LT_TUNING, form, held=True) for i, form in enumerate(HELD)}
    cases["offloaded"] = case(LT_TUNING, OFFLOADED, stops=[6], model=True)
    cases["regrouped"] = case(COCONUT, REGROUPED, stops=[11], unfinished=True)
    until(world, "regrouped", 5)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    program = ["-m", "tests.integration.two_ranks", str(world.folder), json.dumps(list(cases.items())), str(results)]
    done = finish([*launch, *program], PYTHONPATH=os.pathsep.join([str(ROOT), str(ROOT / "src")]))
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((results / f"rank{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize("method", RUNS)
def test_two_ranks_give_the_losses_of_one_at_every_zero_stage(world: World, found: Found, method: str) -> None:
    alone = world.losses_here(RUNS[method], training={"updates": 8})
    for name in STAGES:  # float32; sums over labels come in another order
        assert found[0][f"{method} {name}"] == pytest.approx(alone, rel=2e-4 if name == "one" else 5e-4), name


@pytest.mark.parametrize("i", range(len(HELD)), ids=[str(form) for form in HELD])
def test_only_the_first_rank_holds_what_is_saved_and_no_rank_the_whole_state(found: Found, i: int) -> None:
    """Counted are the bytes of all tensors that two ranks make while they save, check and reset their state."""
    first, second = (rank[f"held {i}"] for rank in found)
    print(first, second)
    assert first["weights"] > 5 * first["largest"], "the model is too small to tell"
    few = 3 * first["largest"]  # what is gathered, and a copy of it on the way
    assert max(second[name] for name in ("state", "model", "moved", "moments")) <= few
    assert max(first[name] for name in ("moved", "moments")) <= few
    assert first["state"] <= few + 100_000, "a file's worth of tensors, not all of them"
    assert first["weights"] <= first["model"] <= first["weights"] + few


def test_sharded_offloaded_parameters_go_on_where_they_were(world: World, found: Found) -> None:
    exact = world.here("exact", LT_TUNING)
    exact.execute()
    exact.save_model(world.folder / "exact/model")
    assert found[0]["offloaded"] == pytest.approx([row["loss"] for row in exact.records.read("metrics")], rel=2e-2)
    mine, other = (load_file(world.folder / name / "model/model.safetensors") for name in ("offloaded", "exact"))
    assert {name: value.shape for name, value in mine.items()} == {name: value.shape for name, value in other.items()}
    assert all(torch.allclose(value, other[name], atol=0.05) for name, value in mine.items())


def test_a_run_goes_on_with_another_number_of_ranks(world: World, found: Found) -> None:
    assert len(found[0]["regrouped"]) == 11, "one rank did five updates, then two ranks six"
    again = world.here("regrouped", COCONUT, training=REGROUPED)
    again.execute()
    alone = world.losses_here(COCONUT, training={"updates": 20})
    assert [row["loss"] for row in again.records.read("metrics")] == pytest.approx(alone, rel=1e-3)
