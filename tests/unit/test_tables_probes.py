"""probes.csv and activity.csv hold every row they were made from, and trends that were put there."""

import numpy as np
import pytest

from thoughtscope import tables
from thoughtscope.config.run import Run
from thoughtscope.errors import UserError
from thoughtscope.evaluation.activity import activity, slope
from thoughtscope.evaluation.probes import probes
from thoughtscope.evaluation.settings import TableSettings

SETTINGS = TableSettings(methods={"coconut": "Coconut"}, resamples=20)
LATENT = Run("chain", "qwen3", "coconut", "live", 0)
STATEMENTS = Run("facts", "qwen3-deep", "none", "live", 0)


def write_latents(folder):
    place = folder / LATENT.path
    place.mkdir(parents=True)
    rows = [
        {
            **LATENT.columns,
            "checkpoint_step": 100,
            "kind": "output",
            "layer": 1,
            "latent_index": k,
            "target": target,
            "n": 200,
            "classes": 5,
            "accuracy": 0.9 if k == target else 0.2,
            "ci_low": 0.1,
            "ci_high": 0.95,
            "null_mean": 0.2,
            "null_p99": 0.3,
        }
        for k in (1, 2)
        for target in (1, 2)
    ]
    tables.write(place / "latents.parquet", tables.LATENT_PROBES, rows)
    return place


def write_truth(folder, score=lambda layer, position: layer + position):
    place = folder / STATEMENTS.path
    place.mkdir(parents=True)
    truth = [
        {
            **STATEMENTS.columns,
            "direction": "logistic",
            "layer": layer,
            "subset": "all",
            "n": 80,
            "auroc": 0.6 + layer / 10,
            "ci_low": 0.5,
            "ci_high": 0.95,
            "null_random_p99": 0.12,
            "null_permutation_p99": 0.15,
            "passes_null": layer > 0,
        }
        for layer in range(4)
    ]
    cells = [
        {
            **STATEMENTS.columns,
            "direction": "logistic",
            "example_id": f"display-{label}",
            "label": label,
            "layer": layer,
            "position": position,
            "token": f"t{position}",
            "score": float(score(layer, position)) * (1 if label else -1),
            "passes_null": layer > 0,
        }
        for label in (0, 1)
        for layer in range(4)
        for position in range(6)
    ]
    tables.write(place / "truth.parquet", tables.TRUTH_PROBES, truth)
    tables.write(place / "activity.parquet", tables.ACTIVITY, cells)
    return place


def test_latent_and_truth_probes_stand_in_one_table(tmp_path):
    table = probes([write_latents(tmp_path), write_truth(tmp_path)], SETTINGS)
    assert table["probe"].tolist() == ["latent"] * 4 + ["truth"] * 4
    latent, truth = table.iloc[0], table.iloc[-1]
    assert (latent["label"], latent["measure"], latent["value"], latent["null_p99"]) == (
        "Coconut",
        "accuracy",
        0.9,
        0.3,
    )
    assert (truth["measure"], truth["direction"], truth["subset"]) == ("auroc", "logistic", "all")
    assert (truth["value"], truth["null_p99"], truth["null_random_p99"]) == pytest.approx((0.9, 0.15, 0.12))
    assert np.isnan(truth["target"])


def test_a_latent_probe_passes_only_above_its_null(tmp_path):
    table = probes([write_latents(tmp_path)], SETTINGS)
    assert table["passes_null"].tolist() == [True, False, False, True]


def test_the_verdict_on_a_truth_direction_is_the_one_the_stage_gave(tmp_path):
    assert probes([write_truth(tmp_path)], SETTINGS)["passes_null"].tolist() == [False, True, True, True]


def test_a_folder_without_probes_is_named(tmp_path):
    with pytest.raises(UserError, match=r"holds neither latents\.parquet nor truth\.parquet"):
        probes([tmp_path], SETTINGS)


def test_every_cell_stands_in_the_activity_table(tmp_path):
    table = activity([write_truth(tmp_path)], SETTINGS)
    cells = table[table["row"] == "cell"]
    assert len(cells) == 2 * 4 * 6
    one = cells[(cells["truth"] == 1) & (cells["layer"] == 3) & (cells["position"] == 2)].iloc[0]
    assert (one["token"], one["score"], one["passes_null"]) == ("t2", 5.0, True)


def test_trends_are_the_slopes_that_were_put_there(tmp_path):
    table = activity([write_truth(tmp_path, lambda layer, position: 2 * layer - 0.5 * position)], SETTINGS)
    trends = table[(table["truth"] == 1) & (table["layers"] == "all")].set_index("row")
    assert trends.loc["trend over layers", "score"] == pytest.approx(2)
    assert trends.loc["trend over tokens", "score"] == pytest.approx(-0.5)
    assert trends["layer"].isna().all()


def test_trend_intervals_are_wide_where_tokens_disagree(tmp_path):
    noise = np.random.default_rng(0).normal(size=(4, 6))
    table = activity([write_truth(tmp_path, lambda layer, position: noise[layer, position])], SETTINGS)
    trends = table[(table["truth"] == 1) & (table["row"] == "trend over layers")]
    assert trends["layers"].tolist() == ["all", "passing"]
    assert (trends["ci_low"] < trends["score"]).all()
    assert (trends["score"] < trends["ci_high"]).all()


def test_passing_layers_have_a_trend_of_their_own(tmp_path):
    table = activity([write_truth(tmp_path, lambda layer, _: 100 if layer == 0 else layer)], SETTINGS)
    over_layers = table[(table["truth"] == 1) & (table["row"] == "trend over layers")].set_index("layers")["score"]
    assert over_layers["all"] < 0
    assert over_layers["passing"] == pytest.approx(1)


def test_slope_over_a_single_place_is_undefined():
    assert np.isnan(slope(np.array([2.0, 2.0]), np.array([1.0, 3.0])))
