"""What a run takes is known before anything loads, and one line says what would fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from thoughtscope.errors import UserError
from thoughtscope.training.footprint import Footprint, Load, advice, check_fits

LIVE = Load(8_030_000_000, "full", "bf16", {"stage": 2}, ranks=1, rows=8, checkpointing=False)
FROZEN = replace(LIVE, trainable="lora")
CARD = 80e9


def test_a_frozen_8b_run_fits_a_device_of_80_gb_and_a_live_one_does_not() -> None:
    assert 16e9 < FROZEN.states < FROZEN.needed < CARD
    check_fits("run", FROZEN, CARD, "device")
    with pytest.raises(UserError) as refused:
        check_fits("run a/b/c", LIVE, CARD, "device")
    said = str(refused.value)
    assert "\n" not in said
    assert "run a/b/c: weights, gradients and moments of 8.03 billion parameters take 128 GB, a device has 80" in said
    assert said.endswith("set 2 ranks, training.micro_batch_size: 1")


def test_the_advice_changes_as_little_as_suffices() -> None:
    assert advice(replace(LIVE, parameters=1_000_000_000, rows=4096), CARD) == "set training.micro_batch_size: 1"
    wide = replace(LIVE, parameters=4_000_000_000, rows=1, ranks=2, zero={})
    assert advice(wide, 42e9) == "set training.deepspeed: zero2"
    assert advice(wide, 38e9) == "set training.deepspeed: zero3"
    assert advice(replace(LIVE, parameters=10**13), CARD) == "take a smaller backbone, or trainable: lora"
    assert advice(replace(FROZEN, parameters=10**14), CARD) == "take a smaller backbone"


def test_what_is_advised_fits() -> None:
    other = replace(LIVE, ranks=4)
    assert other.needed < CARD < replace(LIVE, ranks=1).needed
    assert replace(other, checkpointing=True).activations < 0.2 * other.activations


def test_stage_3_shares_the_weights_of_a_frozen_run() -> None:
    assert Footprint.of("lora", "bf16", {"stage": 3}) == Footprint(0.0, 2.0, 0.0)
    assert replace(FROZEN, zero={"stage": 3}, ranks=4).states == FROZEN.states / 4
