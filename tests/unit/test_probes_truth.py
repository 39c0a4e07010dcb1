"""Truth probes find what was planted, and claim nothing where nothing is."""

import json

import numpy as np
import pandas as pd
import pytest

from thoughtscope import tables
from thoughtscope.hidden_states.write import SURPRISALS, Position, StateWriter
from thoughtscope.probes.activity import activity_rows
from thoughtscope.probes.directions import DIRECTIONS, auroc, auroc_interval
from thoughtscope.probes.statements import Statements, length_matched, without
from thoughtscope.probes.truth import TruthSettings, truth_rows

WIDTH, RUN = 8, "facts/b/none/live/seed0"
FAST = TruthSettings(permutations=20, random_directions=100, bootstrap=100)


def statement_rows() -> list[dict]:
    """30 train, 20 test and 5 calibration subjects; a plain and a negated pair for each of train and test."""
    rows = []
    for number in range(50):
        for negated in (False, True):
            for label in (1, 0):
                rows.append(
                    {
                        "example_id": f"f-{number:02d}-{int(negated)}-{'ft'[label]}",
                        "split": "train" if number < 30 else "test",
                        "subject": f"s{number}",
                        "negated": negated,
                        "label": label,
                    }
                )
    rows += [
        {"example_id": f"c{k}", "split": "calibration", "subject": f"c{k}", "negated": False, "label": None}
        for k in range(5)
    ]
    rows += [
        {"example_id": f"d-{'ft'[label]}", "split": "display", "subject": "d", "negated": False, "label": label}
        for label in (0, 1)
    ]
    return [{**row, "attribute": "a", "question": "Who?", "response": "x is y ."} for row in rows]


@pytest.fixture
def stored(tmp_path):
    """Statements with two tokens each: layer 0 is noise, layer 1 holds truth along entry 3."""
    numbers = np.random.default_rng(0)
    rows = statement_rows()
    places = [Position(row["example_id"], 5 + t, None, t, f"t{t}") for row in rows for t in range(2)]
    noise = numbers.standard_normal((len(places), WIDTH))
    planted = noise.copy()
    planted[:, 3] += np.repeat([4.0 * (row["label"] if row["label"] is not None else 0.5) for row in rows], 2)
    with StateWriter(tmp_path, RUN, WIDTH, "float32") as writer:
        writer.append("output", 0, 0, places, noise)
        writer.append("output", 1, 0, places, planted)
    surprisals = [
        {"run": RUN, "example_id": place.example_id, "position": place.position, "surprisal": value}
        for place, value in zip(places, numbers.random(len(places)), strict=True)
    ]
    tables.write(tmp_path / SURPRISALS, tables.SURPRISALS, surprisals)
    (tmp_path / "states.json").write_text(json.dumps({"layers": [0, 1], "final_norm_layer": 1}))
    return Statements.of(rows, tmp_path)


@pytest.mark.parametrize("name", DIRECTIONS)
def test_every_direction_finds_the_planted_axis_and_its_sign(name):
    numbers = np.random.default_rng(1)
    labels = np.tile([1, 0], 200)
    vectors = numbers.standard_normal((400, WIDTH))
    vectors[:, 2] += 4 * labels
    axis = DIRECTIONS[name](vectors, labels)
    assert axis[2] / np.linalg.norm(axis) > 0.95


def test_planted_truth_passes_the_null_and_noise_does_not(stored):
    frame = pd.DataFrame(truth_rows(stored, [0, 1], FAST))
    plain = frame[frame["subset"] == "all"].set_index(["layer", "direction"])
    assert (plain.loc[1, "auroc"] > 0.9).all()
    assert plain.loc[1, "passes_null"].all()
    assert (np.abs(plain.loc[0, "auroc"] - 0.5) < 0.25).all()
    assert not plain.loc[0, "passes_null"].all()
    assert ((plain["ci_low"] <= plain["auroc"]) & (plain["auroc"] <= plain["ci_high"])).all()


def test_all_subsets_are_reported(stored):
    frame = pd.DataFrame(truth_rows(stored, [1], FAST))
    assert set(frame["subset"]) == {"all", "negated", "length-matched", "surprisal-out", "text-only"}
    assert frame.loc[frame["subset"] == "text-only", "auroc"].item() == 0.5
    assert set(frame.loc[frame["subset"] == "all", "n"]) == {40}


def test_activity_is_centred_between_the_classes_and_scaled_on_calibration(stored):
    truth = list(truth_rows(stored, [1], FAST))
    frame = pd.DataFrame(activity_rows(stored, [1], FAST, truth))
    assert set(frame["position"]) == {0, 1}
    assert len(frame) == 2 * 2 * len(DIRECTIONS)
    dm = frame[frame["direction"] == "difference-of-means"].groupby("label")["score"].mean()
    assert dm[1] > 0 > dm[0]
    stretched = stored.layer(1)
    calibration = stretched.vectors[np.isin(stretched.codes, stored.where("calibration"))]
    axis = DIRECTIONS["difference-of-means"](
        stretched.of(rows := stored.where("train", False), "last"), stored.labels(rows)
    )
    displayed = stretched.vectors[np.isin(stretched.codes, stored.where("display"))] @ axis
    expected = np.ptp(displayed) / (calibration @ axis).std()
    assert np.ptp(frame.loc[frame["direction"] == "difference-of-means", "score"]) == pytest.approx(expected)


def test_auroc_of_known_orders():
    labels = np.array([0, 0, 1, 1])
    scores = np.array([[1.0, 4.0, 1.0], [2.0, 3.0, 1.0], [3.0, 2.0, 1.0], [4.0, 1.0, 1.0]])
    assert auroc(scores, labels).tolist() == [1.0, 0.0, 0.5]


def test_auroc_interval_resamples_whole_subjects():
    numbers = np.random.default_rng(0)
    labels = np.tile([1, 0], 20)
    scores = numbers.standard_normal(40) + labels
    alone = auroc_interval(scores, labels, np.repeat(np.arange(20), 2).astype(object), 500, 0.95)
    copied = auroc_interval(
        np.tile(scores, 10), np.tile(labels, 10), np.tile(np.repeat(np.arange(20), 2), 10).astype(object), 500, 0.95
    )
    assert copied == pytest.approx(alone, abs=1e-9)


def test_length_matching_leaves_equal_numbers_of_every_length():
    lengths, labels = np.array([5, 5, 5, 6, 7, 7]), np.array([1, 0, 0, 1, 1, 0])
    kept = length_matched(lengths, labels)
    assert kept.tolist() == [0, 1, 4, 5]


def test_what_a_nuisance_explains_is_taken_out():
    numbers = np.random.default_rng(0)
    nuisance = numbers.standard_normal((100, 1))
    vectors = nuisance @ numbers.standard_normal((1, WIDTH)) + 3
    assert np.abs(without(nuisance, vectors, np.arange(50))).max() < 1e-9


def test_rounding_left_by_a_constant_entry_is_not_read_as_truth():
    numbers = np.random.default_rng(0)
    labels = np.tile([1, 0], 50)
    nuisance = (labels + 0.1 * numbers.standard_normal(100))[:, None]
    constant = np.tile(numbers.standard_normal(WIDTH), (100, 1))
    rest = without(nuisance, constant, np.arange(60))
    assert auroc(rest[60:] @ np.ones((WIDTH, 1)), labels[60:])[0] == 0.5
