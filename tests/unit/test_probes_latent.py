"""Latent probes read the value that is there, and only that."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from thoughtscope.errors import UserError
from thoughtscope.hidden_states.write import Position, StateWriter
from thoughtscope.probes.intermediate_value import IntermediateValue
from thoughtscope.probes.latent import discriminant, read_right, whitened
from thoughtscope.probes.settings import LatentSettings

FAST = LatentSettings(permutations=99)


def random_keys(n: int, count: int = 99, seed: int = 0) -> np.ndarray:
    """Return what permutes labels."""
    return np.random.default_rng(seed).random((count, n))


def test_a_planted_value_is_read_and_noise_is_not():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 200)
    noise = rng.standard_normal((200, 6))
    planted, chance = (
        read_right(vectors, labels.astype(str), random_keys(200), 5) / 200
        for vectors in (noise + 4 * np.eye(6)[labels], noise)
    )
    assert planted[0] > 0.95 > planted[1:].max()
    assert chance[0] < 0.45
    assert chance[1:].mean() == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("shape", [(90, 6), (30, 50)])
def test_the_discriminant_is_the_one_of_the_shrunk_covariance_within_classes(shape):
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1, 2], shape[0] // 3)
    vectors = rng.standard_normal(shape) @ rng.standard_normal((shape[1], shape[1]))
    vectors[:, :3] += 3 * np.eye(3)[labels]
    seen, unseen, known_labels = vectors[3:], vectors[:3], labels[3:]
    known, asked, kept = whitened(seen, unseen)
    shuffles = np.stack([known_labels, rng.permutation(known_labels)])
    found = discriminant(known, shuffles, asked, kept, 3)
    for shuffled, classes in zip(shuffles, found, strict=True):
        means = np.stack([known[shuffled == one].mean(axis=0) for one in range(3)])
        shares = np.bincount(shuffled) / len(shuffled)
        inside = np.eye(known.shape[1]) - kept * (means.T * shares) @ means
        inverse = np.linalg.inv(inside)
        scores = asked @ inverse @ means.T - np.einsum("ij,jk,ik->i", means, inverse, means) / 2 + np.log(shares)
        assert classes.tolist() == scores.argmax(axis=1).tolist()


def test_with_many_rows_it_finds_what_the_discriminant_of_scikit_learn_finds():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 900)
    vectors = (rng.standard_normal((900, 5)) + 1.5 * np.eye(5)[labels]) @ rng.standard_normal((5, 5))
    known, asked, kept = whitened(vectors[:600], vectors[600:])
    found = discriminant(known, labels[None, :600], asked, kept, 3)[0]
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(vectors[:600], labels[:600])
    expected = model.predict(vectors[600:])
    assert (found == expected).mean() > 0.97


def test_a_value_that_no_seen_row_has_is_not_found():
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], [20, 19, 1])
    assert read_right(rng.standard_normal((40, 4)), labels, random_keys(40), 5)[0] < 40


def test_scales_come_from_the_rows_that_were_seen():
    rng = np.random.default_rng(0)
    seen, unseen = rng.standard_normal((40, 4)), rng.standard_normal((10, 4))
    known = whitened(seen, unseen)[0]
    np.testing.assert_array_equal(whitened(seen, 1000 * unseen)[0], known)
    one, other = (whitened(seen, unseen)[1][:1], whitened(seen, np.vstack([unseen[:1], 1e6 * unseen[1:]]))[1][:1])
    np.testing.assert_allclose(one, other)


def test_vectors_that_never_vary_are_read_as_the_commonest_value():
    labels = np.repeat(["a", "b"], [30, 10])
    assert read_right(np.full((40, 4), 0.1, dtype=np.float32), labels, random_keys(40), 5)[0] == 30


def write(folder, rows, steps, vectors_of, repeat=1):
    places = [Position(row["example_id"], 5 + k, k, 9, "L") for row in rows for k in steps] * repeat
    with StateWriter(folder, "r", 4, "float32") as writer:
        for step in (10, 20):
            vectors = np.concatenate([vectors_of(step)] * repeat)
            writer.append("input", None, step, places, vectors)
            writer.append("output", 2, step, places, vectors)
    facts = {"layers": [2], "final_norm_layer": 2, "checkpoints": [10, 20]}
    (folder / "states.json").write_text(json.dumps(facts))


def values(count: int, seed: int = 2) -> list[dict]:
    rng = np.random.default_rng(seed)
    return [{"example_id": f"q{i}", "step_values": [str(v) for v in rng.integers(0, 3, 2)]} for i in range(count)]


def test_each_latent_and_target_of_the_last_checkpoint_has_a_row(tmp_path):
    rows = values(60)
    first = np.eye(4)[[int(row["step_values"][k]) for row in rows for k in (0, 1)]] * 3
    write(tmp_path, rows, (1, 2), lambda step: first if step == 20 else np.zeros_like(first))
    frame = pd.DataFrame(IntermediateValue(FAST).fit(tmp_path, rows)["evidence"])
    assert set(frame["checkpoint_step"]) == {20}
    assert len(frame) == 2 * 2 * 2
    own = frame[frame["latent_index"] == frame["target"]]
    other = frame[frame["latent_index"] != frame["target"]]
    assert (own["value"] == 1).all()
    assert own["passes_null"].all()
    assert (own["p"] == 0.01).all()
    assert (other["value"] < 0.7).all()
    assert not other["passes_null"].any()
    assert ((frame["ci_low"] <= frame["value"]) & (frame["value"] <= frame["ci_high"])).all()


def test_without_values_in_the_vectors_a_run_passes_as_rarely_as_the_level_says(tmp_path):
    """The correction is for the choice among all kinds, latents and steps of a run, which depend on one another."""
    seed, runs = 31, 50
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    passed = 0
    for run in range(runs):
        rows = values(24, seed=1000 + run)
        folder = tmp_path / str(run)
        vectors = rng.standard_normal((48, 4))
        write(folder, rows, (1, 2), lambda _, vectors=vectors: vectors)
        probe = IntermediateValue(LatentSettings(permutations=99, folds=2, level=0.05))
        frame = pd.DataFrame(probe.fit(folder, rows)["evidence"])
        passed += bool(frame["passes_null"].any())
    assert passed <= binom.ppf(0.9995, runs, 0.05), f"seed {seed}: {passed} of {runs}"
    assert passed >= 1, f"seed {seed}: the level is not used"


def test_two_vectors_of_a_question_at_one_latent_are_an_error(tmp_path):
    rows = values(20)
    write(tmp_path, rows, (1,), lambda step: np.zeros((20, 4)), repeat=2)
    with pytest.raises(UserError, match="two vectors at latent 1"):
        list(IntermediateValue(FAST).fit(tmp_path, rows)["evidence"])


def test_values_that_never_vary_leave_no_row(tmp_path):
    rows = [{**row, "step_values": ["1"]} for row in values(20)]
    write(tmp_path, rows, (1,), lambda step: np.zeros((20, 4)))
    assert list(IntermediateValue(FAST).fit(tmp_path, rows)["evidence"]) == []
