"""bf16 and offloaded moments change how a run is computed, not what it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from .world import LT_TUNING, World

pytestmark = pytest.mark.slow


Result = tuple[list[float], dict[str, torch.Tensor]]


def result(run: Any, folder: Path) -> Result:
    """Execute a run; return its losses and the weights that it saves."""
    run.execute()
    run.save_model(folder)
    return [row["loss"] for row in run.records.read("metrics")], load_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def exact(world: World, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return result(world.here("exact", LT_TUNING), tmp_path_factory.mktemp("exact"))


def test_bf16_with_offloaded_moments_follows_float32(world: World, exact: Result, tmp_path: Path) -> None:
    training = {"precision": "bf16", "deepspeed": "zero2-offload", "optimizer": {"fused": True}}
    found, saved = result(world.here("zero2-offload", LT_TUNING, training=training), tmp_path)
    assert found == pytest.approx(exact[0], rel=2e-2)
    assert found != exact[0], "bf16 must have been used"
    masters = {name for name, value in saved.items() if not torch.equal(value, value.bfloat16().float())}
    assert masters, "what is saved are the float32 weights, not their bf16 copies"
