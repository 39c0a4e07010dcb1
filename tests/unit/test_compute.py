"""Jobs ask for what they need: enough for the model's size, and little more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from huggingface_hub import constants
from safetensors.torch import save_file

from thoughtscope.backbones.settings import Settings
from thoughtscope.backbones.size import count_parameters, parameters
from thoughtscope.config.compute import UNKNOWN, Request, building_mb, reading_request, training_request
from thoughtscope.config.load import Study
from thoughtscope.errors import UserError
from thoughtscope.parsing import merge
from thoughtscope.run_id import RunId
from thoughtscope.training.footprint import Footprint

ROOT = Path(__file__).parents[2]
LARGE = RunId("gsm8k", "llama3.1-8b", "coconut-gsm8k", "full", 0)
BILLIONS = 8.03


def published(run: RunId, **changes: Any) -> Study:
    raw = merge(yaml.safe_load((ROOT / "config/paper.yaml").read_text()), changes)
    grid = {"task": run.task, "backbone": run.backbone, "method": run.method, "trainable": run.trainable}
    return Study({**raw, "runs": [grid], "figures": {}}, ROOT / "config", require_pins=False)


def asked(run: RunId, attempt: int = 1, **changes: Any) -> Request:
    return training_request(published(run, **changes), run, attempt)


def frozen(run: RunId) -> RunId:
    return RunId(run.task, run.backbone, run.method, "lora", run.seed)


def given(folder: Path, **more: Any) -> Study:
    """Return a study whose backbone is a folder about which its file says nothing."""
    backbone = {"source": "folder", "path": str(folder), **more}
    cleared = {"hub_id": None, "model_type": None, "facts": {"parameters": None}}
    (folder / "config.json").write_text("{}")
    return published(LARGE, overrides={"backbones": {"llama3.1-8b": {**cleared, **backbone}}})


def write_header(path: Path, **shapes: list[int]) -> None:
    """Write the header of a safetensors file without its weights, which nobody should read."""
    tensors = {name: {"dtype": "BF16", "shape": shape, "data_offsets": [0, 0]} for name, shape in shapes.items()}
    header = json.dumps({"__metadata__": {"format": "pt"}, **tensors}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)


def test_8b_live_on_four_devices_fits_an_ordinary_node() -> None:
    request = asked(LARGE)
    assert (request.nodes, request.gpus, request.ranks) == (1, 4, 4)
    assert 8 * BILLIONS * 1000 < request.mem_mb < 160_000, "four ranks load two bytes a parameter each"


def test_retries_ask_for_half_of_the_first_request_more() -> None:
    first, second, third = (asked(LARGE, attempt).mem_mb for attempt in (1, 2, 3))
    assert [second / first, third / first] == pytest.approx([1.5, 2.0], rel=1e-3)
    small = [asked(LARGE, attempt, compute={"mem_mb": 600}).mem_mb for attempt in (1, 2, 3)]
    assert small == [600, 1600, 2600]


def test_a_frozen_8b_run_asks_for_one_device_and_one_float32_copy() -> None:
    request = asked(frozen(LARGE))
    assert request.gpus == 1
    assert 4 * BILLIONS * 1000 < request.mem_mb < 4 * BILLIONS * 1000 + 10_000


def test_offloaded_moments_are_asked_of_the_host_and_not_of_devices() -> None:
    request = asked(LARGE, overrides={"backbones": {"llama3.1-8b": {"training": {"deepspeed": "zero2-offload"}}}})
    assert request.gpus == 1
    assert 16 * BILLIONS * 1000 < request.mem_mb < 24 * BILLIONS * 1000


def test_a_run_without_devices_holds_weights_gradients_and_moments_on_the_host() -> None:
    request = asked(LARGE, compute={"gpus": 0})
    assert (request.gpus, request.ranks) == (0, 1)
    assert 20 * BILLIONS * 1000 < request.mem_mb < 20 * BILLIONS * 1000 + 5000


def test_float32_weights_are_loaded_at_four_bytes_by_every_rank() -> None:
    wide = asked(LARGE, overrides={"backbones": {"llama3.1-8b": {"training": {"precision": "float32"}}}})
    assert wide.ranks == 4
    assert wide.mem_mb - asked(LARGE).mem_mb == pytest.approx(8 * BILLIONS * 1000, rel=1e-3)


@pytest.mark.parametrize(
    ("precision", "zero", "expected"),
    [
        ("float32", {}, (16, 0, 0)),
        ("bf16", {}, (4, 12, 0)),  # the engine shards it as ZeRO-1
        ("bf16", {"stage": 1}, (4, 12, 0)),
        ("bf16", {"stage": 2}, (2, 14, 0)),
        ("bf16", {"stage": 3}, (0, 16, 0)),
        ("float32", {"stage": 2}, (4, 12, 0)),
        ("bf16", {"stage": 2, "offload_optimizer": {"device": "cpu"}}, (2, 2, 16)),
        ("bf16", {"stage": 3, "offload_optimizer": {"device": "cpu"}, "offload_param": {"device": "cpu"}}, (0, 2, 18)),
    ],
)
def test_zero_shares_what_its_stage_says(precision: str, zero: dict[str, Any], expected: tuple[int, ...]) -> None:
    assert Footprint.of("full", precision, zero) == Footprint(*map(float, expected))


def test_a_folder_without_facts_is_sized_from_its_headers_and_gets_a_device(tmp_path: Path) -> None:
    """Two shards of four billion parameters; the index decides which files count."""
    for part in (1, 2):
        write_header(tmp_path / f"model-{part}.safetensors", **{f"layer{part}": [4000, 1_000_000]})
    write_header(tmp_path / "consolidated.safetensors", everything=[8000, 1_000_000])
    index = {"weight_map": {f"layer{part}": f"model-{part}.safetensors" for part in (1, 2)}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    study = given(tmp_path)
    assert count_parameters(tmp_path) == 8 * 10**9
    assert training_request(study, LARGE).gpus == 4
    assert training_request(study, LARGE).mem_mb == pytest.approx(asked(LARGE).mem_mb, rel=0.02)
    reading = reading_request(study, LARGE.backbone)
    assert reading.gpus == 1
    assert 16_000 < reading.mem_mb < 24_000
    assert building_mb(study, LARGE.backbone) > 16_000


def test_the_number_of_parameters_is_that_of_a_real_file(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3, 5), "b": torch.zeros(7)}, tmp_path / "model.safetensors")
    assert count_parameters(tmp_path) == 22


def test_a_file_of_weights_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0not JSON")
    with pytest.raises(UserError, match=r"model\.safetensors: no safetensors file"):
        reading_request(given(tmp_path), LARGE.backbone)


def test_a_hub_model_is_sized_from_the_cache_if_its_file_does_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    settings = Settings(source="hub", label="x", hub_id="owner/name", revision="a" * 40)
    assert parameters(settings) is None
    folder = tmp_path / "models--owner--name" / "snapshots" / ("a" * 40)
    folder.mkdir(parents=True)
    write_header(folder / "model.safetensors", weight=[10, 10])
    assert parameters(settings) == 100


def test_a_model_of_unknown_size_still_gets_a_device() -> None:
    study = published(LARGE, overrides={"backbones": {"llama3.1-8b": {"facts": {"parameters": None}}}})
    assert reading_request(study, LARGE.backbone).gpus == 1
    assert reading_request(study, LARGE.backbone).mem_mb > 2 * UNKNOWN / 1e6
    assert training_request(study, LARGE).gpus == 1


def test_a_tiny_backbone_asks_for_no_device_and_little_memory() -> None:
    smoke = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    study, run = Study(smoke, ROOT / "config"), RunId("chain", "qwen3", "coconut", "full", 0)
    for request in (training_request(study, run), reading_request(study, run.backbone)):
        assert (request.gpus, request.ranks, request.mem_mb) == (0, 1, 2500)
    doubled = Study({**smoke, "compute": {"ranks": 2}}, ROOT / "config")
    for two in (training_request(doubled, run), reading_request(doubled, run.backbone)):
        assert (two.ranks, two.mem_mb) == (2, 4000)


def test_an_extraction_uses_all_devices_that_are_set() -> None:
    study = published(LARGE, compute={"gpus": 4})
    one, four = (reading_request(one, LARGE.backbone) for one in (published(LARGE), study))
    assert (one.gpus, one.ranks, four.gpus, four.ranks, four.nodes) == (1, 1, 4, 4, 1)
    assert four.mem_mb > 3.5 * (one.mem_mb - 2500)
