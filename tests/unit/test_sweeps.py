"""A sweep is a grid in the config; its runs, its table and its figure follow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from synthetic import write_run

from thoughtscope import schemas
from thoughtscope.config import analysis
from thoughtscope.config.load import Study
from thoughtscope.errors import UserError
from thoughtscope.figures.base import frame
from thoughtscope.parsing import merge
from thoughtscope.run_id import RunId

ROOT = Path(__file__).parents[2]
WEIGHT = {
    "method": "codi",
    "keys": {"distillation.weight": [0, 1, 20], "fill.projector": [None, {"inner": 8}]},
    "runs": {"task": "chain", "backbone": "qwen3", "seed": [0, 1]},
}


def study(sweeps: dict[str, Any], **changes: Any) -> Study:
    raw = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    return Study(merge({**raw, "figures": {}, "probes": {}, "sweeps": sweeps}, changes), ROOT / "config")


def test_each_combination_is_a_method_with_runs_of_its_own() -> None:
    found = study({"weight": WEIGHT})
    methods = [name for name in found.sweep_points if name.startswith("weight-")]
    assert len(methods) == 6
    assert methods[:2] == ["weight-0-null", "weight-0-inner_8"]
    assert sum(run.method in methods for run in found.runs) == 12
    settings = found.method("weight-20-inner_8").model_dump()
    assert settings["distillation"]["weight"] == 20
    assert settings["fill"]["projector"]["inner"] == 8
    assert found.method("weight-1-null").model_dump()["fill"]["projector"] is None
    assert found.method_label("weight-20-null") == "CODI, weight 20, projector null"
    assert found.method("codi").model_dump()["latents"] == 2, "overrides of the method itself hold for its sweep ..."
    assert settings["latents"] == 2, "... too"


def test_a_sweep_has_its_table_and_its_figure() -> None:
    found = study({"weight": WEIGHT})
    assert "sweep_weight" in analysis.table_names(found)
    assert "sweep_weight" in found.config.figures
    assert len(analysis.table_runs(found, "sweep_weight")) == len(analysis.figure_runs(found, "sweep_weight")) == 12
    assert len(analysis.table_runs(found, "summary")) == len(found.runs)


def test_keys_in_lists_are_named_by_their_number() -> None:
    found = study(
        {
            "alpha": {
                "method": "lt-tuning",
                "keys": {"curriculum.2.fill.alpha": [0.0, 0.6], "curriculum.1.insertion.cap": [4]},
                "runs": {"task": "chain", "backbone": "qwen3"},
            }
        }
    )
    one = found.method("alpha-0.0-4").model_dump()
    assert (one["curriculum"][2]["fill"]["alpha"], one["curriculum"][1]["insertion"]["cap"]) == (0.0, 4)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"method": "nothing"}, "no config/methods/nothing.yaml|nothing.yaml"),
        ({"keys": {"curriculum.7.fill.alpha": [1]}}, "curriculum|unknown key"),
        ({"keys": {"label.text": [1]}}, "there is no key label.text; name one by its path"),
        ({"keys": {"distillation.weigth": [1]}}, "distillation.weigth: unknown key"),
        ({"keys": {"latents": [3, "3"]}}, "two methods are called weight-3; rename"),
        ({"keys": {"latents": []}}, "sweeps.weight.keys.latents"),
        ({"keys": {}}, "sweeps.weight.keys"),
    ],
)
def test_a_mistake_in_a_sweep_is_one_line(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        study({"weight": {**WEIGHT, **change}})


def folders(tmp_path: Path, found: Study) -> list[Path]:
    made = []
    for i, run in enumerate(analysis.table_runs(found, "sweep_weight")):
        made.append(write_run(tmp_path, run, {0: [False] * 50, 9: [item < 2 * i + 5 for item in range(50)]}))
    return made


def test_the_table_has_the_values_of_each_run_in_the_order_of_the_grid(tmp_path: Path) -> None:
    found = study({"weight": WEIGHT})
    kind, settings = found.table("sweep_weight")
    table = kind(settings, {}).make(folders(tmp_path, found))
    assert table["distillation.weight"].tolist() == ["0"] * 4 + ["1"] * 4 + ["20"] * 4
    assert table["fill.projector"].tolist()[:4] == ["null", "null", '{"inner": 8}', '{"inner": 8}']
    assert table["seeds"].eq(2).all()
    assert table["mean_operations"].eq(5000).all()


def test_the_figure_has_a_line_for_each_combination_of_the_other_keys(tmp_path: Path) -> None:
    found = study({"weight": WEIGHT})
    kind, settings = found.figure("sweep_weight")
    figure = kind(settings, title="Weight")
    made = folders(tmp_path, found)
    data = frame([folder / "accuracy.parquet" for folder in made], schemas.ACCURACY.names)
    canvas, points = figure.draw(data)
    axes = canvas.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "1", "20"]
    assert axes.get_xlabel() == "distillation.weight"
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["projector null", 'projector {"inner": 8}']
    runs = {RunId.parse("/".join(folder.parts[-5:])): i for i, folder in enumerate(made)}
    for row in points.to_dict("records"):
        run = RunId("chain", row["backbone"], row["method"], row["trainable"], row["seed"])
        assert row["accuracy"] == pytest.approx((2 * runs[run] + 5) / 50)
    means = [line for line in axes.lines if line.get_linestyle() != "None"]
    expected = points[points["line"] == names[0]].groupby("distillation.weight", sort=False)["accuracy"].mean()
    assert list(means[0].get_ydata()) == pytest.approx(list(expected))
    assert isinstance(points, pd.DataFrame)
