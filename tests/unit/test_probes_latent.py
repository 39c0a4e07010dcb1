"""Latent probes read the value that is there, and only that."""

import json

import numpy as np
import pandas as pd
import pytest

from thoughtscope.hidden_states.write import Position, StateWriter
from thoughtscope.probes.latent import LatentSettings, latent_rows, readability

FAST = LatentSettings(permutations=5)


def test_a_planted_value_is_read_and_noise_is_not():
    numbers = np.random.default_rng(0)
    labels = numbers.integers(0, 4, 200).astype(str)
    groups = np.array([f"q{i}" for i in range(200)], dtype=object)
    noise = numbers.standard_normal((200, 6))
    planted = noise + 4 * np.eye(6)[labels.astype(int)]
    found, chance = (readability(vectors, labels, groups, FAST) for vectors in (planted, noise))
    assert found["accuracy"] > 0.9 > found["null_p99"]
    assert found["ci_low"] <= found["accuracy"] <= found["ci_high"]
    assert chance["accuracy"] < 0.45
    assert found["null_mean"] == pytest.approx(0.25, abs=0.1)
    assert found["classes"] == 4


def test_a_question_never_stands_on_both_sides():
    numbers = np.random.default_rng(1)
    labels = numbers.integers(0, 3, 40).repeat(5).astype(str)
    groups = np.arange(40).repeat(5).astype(object)
    vectors = np.eye(40)[groups.astype(int)]  # a question's own entry: useless for other questions
    assert readability(vectors, labels, groups, FAST)["accuracy"] < 0.6


def test_each_latent_and_target_of_the_last_checkpoint_has_a_row(tmp_path):
    numbers = np.random.default_rng(2)
    rows = [{"example_id": f"q{i}", "step_values": [str(v) for v in numbers.integers(0, 3, 2)]} for i in range(60)]
    places = [Position(row["example_id"], 5 + k, k, 9, "L") for row in rows for k in (1, 2)]
    first = np.eye(4)[[int(row["step_values"][k]) for row in rows for k in (0, 1)]] * 3
    with StateWriter(tmp_path, "r", 4, "float32") as writer:
        for step, vectors in ((10, np.zeros_like(first)), (20, first)):
            writer.append("input", None, step, places, vectors)
            writer.append("output", 2, step, places, vectors)
    facts = {"layers": [2], "final_norm_layer": 2, "checkpoints": [10, 20]}
    (tmp_path / "states.json").write_text(json.dumps(facts))
    frame = pd.DataFrame(latent_rows(tmp_path, rows, FAST))
    assert set(frame["checkpoint_step"]) == {20}
    assert len(frame) == 2 * 2 * 2
    own = frame[frame["latent_index"] == frame["target"]]
    other = frame[frame["latent_index"] != frame["target"]]
    assert (own["accuracy"] == 1).all()
    assert (other["accuracy"] < 0.7).all()
