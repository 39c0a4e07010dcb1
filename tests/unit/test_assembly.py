"""What a run is put together from: stages come from training examples alone, and fills suit the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from thoughtscope.backbones.make import make_tiny
from thoughtscope.backbones.settings import Pretraining
from thoughtscope.config.load import Study
from thoughtscope.config.run_settings import run_settings
from thoughtscope.errors import UserError
from thoughtscope.latents.fills.hidden import Settings as Hidden
from thoughtscope.methods.curriculum import Stage
from thoughtscope.parsing import merge
from thoughtscope.run_id import RunId
from thoughtscope.tasks.prepare import write_task
from thoughtscope.training.assembly import Parts, assemble
from thoughtscope.training.settings import TrainSettings
from thoughtscope.training.stage_data import check_latents

ROOT = Path(__file__).parents[2]
SMOKE = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
FUSED = {"kind": "fusion", "adapter": 8}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    task, folder = tmp_path_factory.mktemp("task"), tmp_path_factory.mktemp("backbone")
    study = Study(SMOKE, ROOT / "config")
    write_task("chain", study.task("chain"), task)
    settings = study.backbone("qwen3")
    make_tiny(settings, Pretraining(tasks=[], updates=1, batch_size=1), 0, [task], folder, "backbone")
    return folder


def row(split: str, steps: int) -> dict[str, Any]:
    name = f"{split}-{steps}"
    return {"example_id": name, "split": split, "question": f"{name} =", "steps": ["6"] * steps, "answer": "6"}


def assembled(backbone: Path, rows: list[dict[str, Any]], method: str = "coconut", **changes: Any) -> Parts:
    run = RunId("chain", "qwen3", method, "full", 0)
    small = {"runs": [{"task": "chain", "backbone": "qwen3", "method": method}], "figures": {}}
    raw = {**SMOKE, **small, "probes": {}}
    study = Study(merge(raw, {"overrides": {"methods": {method: changes}}}), ROOT / "config")
    return assemble(TrainSettings.model_validate(run_settings(study, run)), rows, backbone, 0, "cpu")


def test_the_seed_of_a_run_decides_its_adapter(backbone: Path) -> None:
    run = RunId("chain", "qwen3", "coconut", "lora", 0)
    small = {"runs": [{"task": "chain", "backbone": "qwen3", "method": "coconut", "trainable": "lora"}]}
    study = Study({**SMOKE, **small, "figures": {}, "probes": {}}, ROOT / "config")
    settings = TrainSettings.model_validate(run_settings(study, run))
    adapters = []
    for seed in (0, 0, 1):
        weights = assemble(settings, ROWS, backbone, seed, "cpu").peft.state_dict()
        adapters.append({name: value for name, value in weights.items() if "lora_A" in name})
    assert adapters[0]
    assert all(torch.equal(adapters[0][name], adapters[1][name]) for name in adapters[0])
    assert not any(torch.equal(adapters[0][name], adapters[2][name]) for name in adapters[0])


def test_only_training_examples_decide_how_many_stages_there_are(backbone: Path) -> None:
    rows = [row("train", 1), row("train", 2), row("validation", 3), row("test", 7), row("test-more", 9)]
    parts = assembled(backbone, rows, shares=[], ending={})
    assert [stage.name for stage in parts.stages] == [f"{removed} of 2 steps removed" for removed in range(3)]
    assert parts.reasoner.steps == 2
    assert len(assembled(backbone, [*rows, row("train", 5)], shares=[]).stages) == 6


def test_latents_without_a_step_in_training_are_refused(backbone: Path) -> None:
    rows = [row("train", 0), row("validation", 2), row("test", 2)]
    with pytest.raises(UserError, match="no training example has a step that latents could replace; use a task"):
        assembled(backbone, rows, shares=[])


ROWS = [row("train", 3), row("validation", 3), row("test", 3)]


@pytest.mark.parametrize("fill", [{"kind": "hidden", "layer": 3}, {"kind": "fusion", "layer": 12}])
def test_a_layer_that_the_model_does_not_have_is_one_line(backbone: Path, fill: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=rf"fill.layer: there is no layer {fill['layer']}, the model has 2; give 0"):
        assembled(backbone, ROWS, fill=fill)
    assert assembled(backbone, ROWS, fill={**fill, "layer": 2}).stages[-1].fill is not None


@pytest.mark.parametrize("order", [(FUSED, {"kind": "hidden"}), ({"kind": "hidden"}, FUSED)])
def test_an_adapter_is_there_whichever_stage_has_it(backbone: Path, order: tuple[dict[str, Any], ...]) -> None:
    where = {"quantile": 0.5, "keep": 1.0, "cap": 3}
    stages = [{"name": str(i), "share": 0.5, "insertion": where, "fill": fill} for i, fill in enumerate(order)]
    parts = assembled(backbone, ROWS, "lt-tuning", curriculum=stages)
    assert set(parts.network.fills) == {"fusion"}
    assert parts.reasoner.fill_modules["fusion"] is parts.network.fills["fusion"]
    assert all(value.requires_grad for value in parts.network.fills.parameters())


def test_a_stage_with_too_few_or_too_many_latents_is_refused() -> None:
    chosen = Stage(1, "think", 0.5, fill=Hidden(kind="hidden"), chosen=True, min_latents=1.0)
    check_latents(chosen, [1, 2, 3], 3)
    with pytest.raises(UserError, match=r"stage 'think': it inserts 0.667 latents a response, fewer than its minimum"):
        check_latents(chosen, [0, 1, 1], 3)
    with pytest.raises(UserError, match="a training example has 4 latents, a response may have 3; raise evaluation"):
        check_latents(chosen, [1, 4, 1], 3)
    forced = Stage(1, "forced", 0.5, fill=Hidden(kind="hidden"), min_latents=1.0)
    check_latents(forced, [9, 9], 3)
