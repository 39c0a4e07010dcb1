"""Distances, silhouettes and movements are those of clouds that were put where they are."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import silhouette_score
from synthetic import write_states

from thoughtscope.errors import UserError
from thoughtscope.run_id import RunId
from thoughtscope.statistics import half_sample_interval
from thoughtscope.tables.cells import Cell, Sampling
from thoughtscope.tables.separation import Pair, Separation, shared_covariance, silhouette, squared_distance

WIDTH = 4
MAKE = Separation(Sampling(resamples=40)).make
RED, BLUE, GREEN = (
    RunId("chain", "qwen3", method, "full", 0) for method in ("lt-tuning", "lt-tuning-without-stage-3", "coconut")
)


def cloud(n, at=0.0, seed=0):
    return np.random.default_rng(seed).normal(size=(n, WIDTH)) + at * np.eye(WIDTH)[0]


def pick(table, **wanted):
    wanted = {"kind": "input", "unit_norm": False, "questions": "all", **wanted}
    rows = table
    for name, value in wanted.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1, wanted
    return rows.iloc[0]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("states")
    return MAKE(
        [
            write_states(folder, RED, {1: cloud(100), 2: cloud(70, at=8, seed=1)}),
            write_states(folder, BLUE, {1: cloud(100, seed=2), 2: cloud(100, at=-8, seed=3)}),
            write_states(folder, GREEN, {1: cloud(100, at=4, seed=4), 2: cloud(10, at=4, seed=5)}),
        ],
    )


def test_distance_is_that_of_the_centroids_over_the_spread_within():
    """Unit variance in each of 4 dimensions: a spread of 2."""
    one, other = cloud(5000), cloud(4000, at=6, seed=1)
    assert squared_distance(one, other) == pytest.approx(9, rel=0.06)


def answers(vectors):
    questions = np.array([f"q{i:03d}" for i in range(len(vectors))], dtype=object)
    return Cell(1, None, questions, vectors, np.full_like(vectors, np.nan), np.full(len(vectors), None))


@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_two_samples_of_one_distribution_are_not_apart(shared):
    """Also where both answer the same questions: what they share must not be taken away as well."""
    found = []
    for i in range(300):
        question = np.sqrt(shared) * cloud(60, seed=3 * i)
        one, other = (question + np.sqrt(1 - shared) * cloud(60, seed=3 * i + k) for k in (1, 2))
        found.append(Pair(answers(one), answers(other)).squared_distance(np.arange(60)))
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(300)


def test_shared_covariance_is_the_trace_of_the_cross_covariance():
    one, other = cloud(50), cloud(50, seed=1)
    expected = np.trace(np.cov(one.T, other.T)[:WIDTH, WIDTH:])
    assert shared_covariance(one, other) == pytest.approx(expected)


@pytest.mark.parametrize("apart", [0.1, 0.3, 1.0])
def test_intervals_of_distances_hold_their_level(apart):
    """Nominal 95 %, 150 simulated studies of 60 questions that both methods answer."""
    held = 0
    for i in range(150):
        question = cloud(60, seed=3 * i)
        one, other = (question + cloud(60, seed=3 * i + k) for k in (1, 2))
        other[:, 0] += apart * np.sqrt(2 * WIDTH)
        pair = Pair(answers(one), answers(other))
        _, low, high = half_sample_interval(pair.squared_distance, 60, 0.95, 60, i)
        held += low <= apart**2 <= high
    assert held / 150 > 0.9


def test_methods_move_apart_from_step_to_step(table):
    near = pick(table, measure="distance", method="lt-tuning", other="lt-tuning-without-stage-3", latent_index=1)
    far = pick(table, measure="distance", method="lt-tuning", other="lt-tuning-without-stage-3", latent_index=2)
    assert near["value"] < 0.3
    assert far["value"] == pytest.approx(8, rel=0.1)
    assert near["ci_high"] < far["ci_low"] < far["value"] < far["ci_high"]
    assert (far["n"], far["n_other"]) == (70, 100)


def test_silhouettes_agree_with_what_the_eye_would_say(table):
    pair = {"measure": "silhouette", "method": "lt-tuning", "other": "lt-tuning-without-stage-3"}
    assert abs(pick(table, **pair, latent_index=1)["value"]) < 0.05
    assert pick(table, **pair, latent_index=2)["value"] > 0.8


def test_silhouette_is_that_of_scikit_learn():
    both = np.concatenate([cloud(30), cloud(20, at=2, seed=1)])
    distances = cdist(both, both)
    drawn = np.random.default_rng(0).random(50) < 0.7
    expected = silhouette_score(both[drawn], np.repeat([0, 1], [30, 20])[drawn])
    assert silhouette(distances, (drawn[:30], drawn[30:])) == pytest.approx(expected)


def test_movement_is_that_of_one_method_between_neighbouring_steps(table):
    moved = table[(table["measure"] == "movement") & (table["kind"] == "input") & ~table["unit_norm"]]
    assert set(moved["latent_index"]) == {2}
    assert moved[["other", "floor", "floor_pairs"]].isna().all().all()
    value = pick(table, measure="movement", method="lt-tuning", latent_index=2)
    assert value["value"] == pytest.approx(4, rel=0.1)
    assert value["n"] == 70


def test_a_step_that_few_questions_reach_has_no_value(table):
    row = pick(table, measure="distance", method="coconut", other="lt-tuning", latent_index=2)
    assert row["n"] == 10
    assert np.isnan(row["value"])


def test_scale_alone_separates_nothing_at_unit_norm(tmp_path):
    one = cloud(100, at=3)
    folders = [write_states(tmp_path, RED, {1: one}), write_states(tmp_path, BLUE, {1: 10 * one})]
    table = MAKE(folders)
    raw = pick(table, measure="distance")
    unit = pick(table, measure="distance", unit_norm=True)
    assert raw["value"] > 1
    assert unit["value"] == pytest.approx(0, abs=1e-3)


def test_common_questions_are_shown_where_they_differ_from_all(table):
    common = table[table["questions"] == "common"]
    assert set(common["latent_index"]) == {2}
    assert set(common["n"]) == {10}


def test_each_kind_is_measured(table):
    assert pick(table, measure="movement", method="lt-tuning", kind="output")["layer"] == 2
    assert (table["kind"] == "input").sum() == (table["kind"] == "output").sum()


def test_runs_of_different_backbones_are_not_compared(tmp_path):
    folders = [
        write_states(tmp_path, RunId("chain", backbone, "coconut", "full", 0), {1: cloud(60)})
        for backbone in ("qwen3", "gemma3")
    ]
    assert MAKE(folders).empty


def test_vectors_of_different_widths_are_refused(tmp_path):
    folders = [write_states(tmp_path, RED, {1: cloud(60)}), write_states(tmp_path, BLUE, {1: np.ones((60, 3))})]
    with pytest.raises(UserError, match="different widths"):
        MAKE(folders)


def test_the_floor_is_the_distance_between_two_seeds_of_a_method(tmp_path):
    again, third = replace(RED, seed=1), replace(RED, seed=2)
    folders = [
        write_states(tmp_path, run, {1: cloud(100, at=at, seed=seed)})
        for seed, (run, at) in enumerate([(RED, 0), (again, 4), (third, 8), (BLUE, 2)])
    ]
    table = MAKE(folders)
    row = pick(table, measure="distance", other="lt-tuning-without-stage-3")
    assert row["value"] == pytest.approx(1, rel=0.2)
    assert row["floor_pairs"] == 3
    assert [row["floor_lowest"], row["floor"], row["floor_highest"]] == pytest.approx([2, 8 / 3, 4], rel=0.2)
    pair = pick(table, measure="distance", other="lt-tuning", seed=0, other_seed=2)
    assert pair["value"] == row["floor_highest"]
    assert pair["ci_low"] < pair["value"] < pair["ci_high"]
    assert pick(table, measure="silhouette", other="lt-tuning-without-stage-3")["floor_highest"] > 0.5


def test_both_methods_seeds_count_for_the_floor_and_other_tasks_do_not(tmp_path):
    runs = [(RED, 0), (replace(RED, seed=1), 4), (BLUE, 0), (replace(BLUE, seed=1), 8)]
    foreign = [(replace(run, task="facts"), 100 * i) for i, (run, _) in enumerate(runs[:2])]
    folders = [
        write_states(tmp_path, run, {1: cloud(100, at=at, seed=i)}) for i, (run, at) in enumerate(runs + foreign)
    ]
    table = MAKE(folders)
    row = pick(table, measure="distance", method="lt-tuning", task="chain", seed=0, other=BLUE.method)
    assert row["floor_pairs"] == 2
    assert [row["floor_lowest"], row["floor_highest"]] == pytest.approx([2, 4], rel=0.2)


def test_without_a_second_seed_the_floor_is_empty(table):
    rows = table[table["measure"] != "movement"]
    assert (rows["floor_pairs"] == 0).all()
    assert table[["floor", "floor_lowest", "floor_highest"]].isna().all().all()
