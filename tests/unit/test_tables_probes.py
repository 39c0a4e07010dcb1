"""probes.csv and activity.csv hold every row that they are made from, and trends with honest intervals."""

import numpy as np
import pytest

from thoughtscope import schemas
from thoughtscope.errors import UserError
from thoughtscope.probes.intermediate_value import IntermediateValue
from thoughtscope.probes.truth_direction import TruthDirection
from thoughtscope.run_id import RunId
from thoughtscope.tables.activity import Activity, Resampling
from thoughtscope.tables.probes import Probes

LATENT = RunId("chain", "qwen3", "coconut", "full", 0)
STATEMENTS = {"probe": "truth", "task": "facts", "backbone": "qwen3-deep"}
PROBES = Probes(Probes.Settings(), {"coconut": "Coconut"})
ACTIVITY = Activity(Resampling(resamples=200))


def write(folder, kind, **tables):
    (folder / "tables").mkdir(parents=True)
    for name, rows in tables.items():
        schemas.write(folder / f"tables/{name}.parquet", kind.schema(name), rows)
    return folder


def write_latents(folder):
    rows = [
        {
            "probe": "values",
            **LATENT.columns,
            "checkpoint_step": 100,
            "kind": "output",
            "layer": 1,
            "latent_index": k,
            "target": target,
            "classes": 5,
            "null_mean": 0.2,
            "n": 200,
            "measure": "accuracy",
            "value": 0.9 if k == target else 0.2,
            "ci_low": 0.1,
            "ci_high": 0.95,
            "p": 0.01 if k == target else 0.4,
            "p_corrected": 0.01 if k == target else 0.9,
            "passes_null": k == target,
            "note": None,
        }
        for k in (1, 2)
        for target in (1, 2)
    ]
    return write(folder / "values" / LATENT.path, IntermediateValue, evidence=rows)


def write_truth(folder, trends=()):
    """Write truth rows, the cells of two responses, and trends: (subject, label, over, slope)."""
    truth = [
        {
            **STATEMENTS,
            "direction": "logistic",
            "layer": layer,
            "unit": "statement",
            "subset": "all",
            "n": 80,
            "measure": "auroc",
            "value": 0.6 + layer / 10,
            "ci_low": 0.5,
            "ci_high": 0.95,
            "p": 0.001,
            "p_corrected": 0.02 - layer / 200,
            "p_refit": None,
            "passes_null": layer > 0,
            "note": None,
        }
        for layer in range(4)
    ]
    cells = [
        {
            **STATEMENTS,
            "direction": "whitened-difference",
            "fitted_on": "tokens",
            "example_id": f"display-{label}",
            "attribute": "a",
            "question": "?",
            "response": "!",
            "label": label,
            "layer": layer,
            "position": position,
            "distance": 5 - position,
            "token": f"t{position}",
            "score": float(layer + position) * (1 if label else -1),
            "n": 40,
            "auroc": 0.8,
            "accuracy": 0.7,
            "p": 0.001,
            "p_corrected": 0.005,
            "evidence": "yes" if layer > 0 else "no",
        }
        for label in (0, 1)
        for layer in range(4)
        for position in range(6)
    ]
    names = ("subject", "label", "over", "slope")
    slopes = [
        {**STATEMENTS, "direction": "whitened-difference", "fitted_on": "tokens", "example_id": f"e{number}"}
        | dict(zip(names, row, strict=True))
        for number, row in enumerate(trends)
    ]
    return write(folder / "truth/facts/qwen3-deep", TruthDirection, evidence=truth, activity=cells, trends=slopes)


def test_latent_and_truth_probes_stand_in_one_table(tmp_path):
    table = PROBES.make([write_latents(tmp_path), write_truth(tmp_path)])
    assert table["probe"].tolist() == ["values"] * 4 + ["truth"] * 4
    latent, truth = table.iloc[0], table.iloc[-1]
    assert latent[["label", "measure", "value", "p"]].tolist() == ["Coconut", "accuracy", 0.9, 0.01]
    assert truth[["measure", "direction", "subset", "unit"]].tolist() == ["auroc", "logistic", "all", "statement"]
    assert truth[["value", "p", "p_corrected"]].tolist() == pytest.approx([0.9, 0.001, 0.005])
    assert truth[["target", "method", "label", "trainable", "seed"]].isna().all(), "a backbone has read the statements"
    assert np.isnan(latent["p_refit"])
    assert list(table.columns[-9:]) == Probes.COLUMNS[1:]


def test_the_verdict_is_the_one_that_the_stage_gave(tmp_path):
    assert PROBES.make([write_latents(tmp_path)])["passes_null"].tolist() == [True, False, False, True]
    assert PROBES.make([write_truth(tmp_path)])["passes_null"].tolist() == [False, True, True, True]


def test_a_folder_without_evidence_is_named(tmp_path):
    with pytest.raises(UserError, match=r"tables/evidence\.parquet: no such table"):
        PROBES.make([tmp_path])


def test_every_cell_stands_in_the_activity_table_with_its_evidence(tmp_path):
    table = ACTIVITY.make([write_truth(tmp_path)])
    assert set(table["row"]) == {"cell"}, "no cell passes, so there are no trends"
    assert len(table) == 2 * 4 * 6
    one = table[(table["truth"] == "true") & (table["layer"] == 3) & (table["position"] == 2)].iloc[0]
    assert one[["token", "score", "distance", "evidence", "n"]].tolist() == ["t2", 5.0, 3, "yes", 40]
    assert one[["auroc", "accuracy", "p", "p_corrected"]].tolist() == [0.8, 0.7, 0.001, 0.005]


def trends(folder, rows):
    """Return the trends of the activity table, by row and truth."""
    table = ACTIVITY.make([write_truth(folder, rows)])
    return table[table["row"] != "cell"].set_index(["row", "truth"])


def test_trends_are_means_over_test_statements(tmp_path):
    rows = [(f"s{i}", label, "layers", (2.0 if label else -1.0) + noise)
            for i, noise in enumerate((-0.5, 0.0, 0.5)) for label in (0, 1)]  # fmt: skip
    found = trends(tmp_path, rows)
    assert found["score"].to_dict() == {
        ("trend over layers", "true"): pytest.approx(2.0),
        ("trend over layers", "false"): pytest.approx(-1.0),
        ("trend over layers", "difference"): pytest.approx(3.0),
    }
    assert found["n"].tolist() == [3, 3, 6]
    assert found[["layer", "position", "example_id"]].isna().all(axis=None)


def test_the_interval_of_a_trend_resamples_subjects_not_statements(tmp_path):
    """Many statements about a subject that agree with one another are not many samples."""
    rng = np.random.default_rng(0)
    rows = [(f"s{i}", label, "tokens", float(value)) for i, value in enumerate(rng.normal(size=12)) for label in (0, 1)]
    once, often = trends(tmp_path / "once", rows), trends(tmp_path / "often", rows * 20)
    for found in (once, often):
        true = found.loc[("trend over tokens", "true")]
        assert true["ci_low"] < true["score"] < true["ci_high"]
    width = (once["ci_high"] - once["ci_low"]).loc[("trend over tokens", "true")]
    assert (often["ci_high"] - often["ci_low"]).loc[("trend over tokens", "true")] == pytest.approx(width)


def test_the_difference_of_a_trend_is_paired_by_subject(tmp_path):
    rng = np.random.default_rng(0)
    rows = [(f"s{i}", label, "layers", float(value) + label)
            for i, value in enumerate(10 * rng.normal(size=12)) for label in (0, 1)]  # fmt: skip
    difference = trends(tmp_path, rows).loc[("trend over layers", "difference")]
    assert difference[["score", "ci_low", "ci_high"]].tolist() == pytest.approx([1.0, 1.0, 1.0])
