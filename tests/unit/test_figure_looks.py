"""Looks: every shipped backbone and method has its own, none two alike in a figure; text is never drawn as boxes."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from figure_data import accuracy, activity, drawn, latents
from matplotlib.text import Text
from synthetic import write_run

from thoughtscope.config.load import Study
from thoughtscope.config.run_settings import run_settings
from thoughtscope.config.series import figure_series
from thoughtscope.errors import UserError
from thoughtscope.figures.accuracy_backbones import AccuracyBackbones
from thoughtscope.figures.activity_heatmap import ActivityHeatmap
from thoughtscope.figures.activity_surface import ActivitySurface
from thoughtscope.figures.base import frame
from thoughtscope.figures.latent_scatter import LatentScatter
from thoughtscope.figures.looks import SPARE, Series, alike, assign
from thoughtscope.figures.scatter import Latents
from thoughtscope.figures.style import readable
from thoughtscope.figures.test_sets import AllTestSets
from thoughtscope.parsing import merge
from thoughtscope.run_id import RunId
from thoughtscope.settings import Look
from workflow.lib import study_rules

CONFIG = Path(__file__).parents[2] / "config"


def shipped(group: str) -> dict[str, Look]:
    files = sorted((CONFIG / group).glob("*.yaml"))
    return {file.stem: Look.model_validate(yaml.safe_load(file.read_text())["look"]) for file in files}


def study(changes: dict[str, Any], main: str = "config.yaml") -> Study:
    raw = yaml.safe_load((CONFIG / main).read_text())
    return Study(merge(raw, changes), CONFIG, main, require_pins=False)


@pytest.mark.parametrize("group", ["backbones", "methods"])
def test_no_two_shipped_looks_are_alike(group: str) -> None:
    for (one, first), (other, second) in itertools.combinations(shipped(group).items(), 2):
        assert not alike(first, second), f"{one} and {other}"


@pytest.mark.parametrize(
    ("group", "name", "colour"),
    [
        *[("backbones", name, colour) for name, colour in (
            ("qwen3", "#1f5fc4"), ("llama3.2", "#2a9d3f"), ("mistral", "#f06eb8"), ("smollm3", "#8245b5"),
            ("gemma3", "#17becf"), ("qwen2.5", "#7f7f7f"),
        )],
        *[("methods", name, colour) for name, colour in (
            ("lt-tuning", "#d62728"), ("lt-tuning-without-stage-3", "#1f5fc4"), ("coconut", "#2a9d3f"),
        )],
    ],
)  # fmt: skip
def test_described_colours_are_kept(group: str, name: str, colour: str) -> None:
    assert shipped(group)[name].colour == colour


@pytest.mark.parametrize("main", ["config.yaml", "paper.yaml", "smoke.yaml"])
def test_all_series_of_every_shipped_figure_differ(main: str) -> None:
    made = study({}, main)
    for name in made.config.figures:
        looks = [one.look for one in figure_series(made, name).values()]
        assert not any(alike(one, other) for one, other in itertools.combinations(looks, 2))


def test_the_legend_has_the_order_of_the_config() -> None:
    made = study({})
    assert list(figure_series(made, "latent_scatter")) == ["lt-tuning", "lt-tuning-without-stage-3", "coconut"]
    lines = [one.label for one in figure_series(made, "accuracy_live_frozen").values()]
    frozen = ("Qwen3", "Llama3.2", "Mistral", "SmolLM3", "Gemma3", "Qwen2.5")
    assert lines == ["Live Qwen3", *(f"Frozen {name}" for name in frozen)]


def test_the_paper_keeps_apart_what_it_draws_together() -> None:
    """Eight backbones, and twelve lines, live and frozen."""
    made = study({}, "paper.yaml")
    assert len(figure_series(made, "test_sets")) == 8
    assert len(figure_series(made, "accuracy_live_frozen")) == 12


def test_two_looks_alike_in_one_figure_are_an_error_before_anything_runs() -> None:
    near = {"colour": "#2560c0", "marker": "*"}
    with pytest.raises(UserError, match=r"figures\.accuracy_backbones: .*llama3\.2.*alike"):
        study({"overrides": {"backbones": {"llama3.2": {"look": near}}}})
    marker = {"colour": "#123456", "marker": "s"}
    with pytest.raises(UserError, match=r"config/backbones/qwen3\.yaml: look and .*gemma3\.yaml: look look alike"):
        study({"overrides": {"backbones": {"gemma3": {"look": marker}}}})


def test_looks_that_run_out_are_an_error_before_anything_runs() -> None:
    bare = {name: {"look": None} for name in ("qwen3", "llama3.2", "smollm3", "gemma3", "qwen2.5")}
    made = study({"overrides": {"backbones": bare}})
    assert [one.look for one in figure_series(made, "accuracy_backbones").values()] == SPARE[:5]
    assert len(assign(dict.fromkeys(map(str, range(len(SPARE)))), "figures.x")) == len(SPARE)
    with pytest.raises(UserError, match=r"figures\.x: no look is left for 8; set it"):
        assign(dict.fromkeys(map(str, range(len(SPARE) + 1))), "figures.x")


def test_spare_looks_avoid_those_that_are_taken() -> None:
    taken = {"a": SPARE[0], "b": Look(colour="#00a37a", marker="s")}
    found = assign({**taken, "c": None, "d": None}, "x")
    assert found["c"] == SPARE[1]
    assert found["d"] == SPARE[3], "the third has a colour that is taken"


@pytest.mark.parametrize(
    ("look", "problem"),
    [
        ({"colour": "blue", "marker": "s"}, "colour"),
        ({"colour": "#1f5fc4", "marker": "circle"}, "marker"),
        ({"colour": "#1f5fc4", "marker": "s", "dash": [1]}, "gap after every stroke"),
    ],
)
def test_a_look_that_is_none_is_one_line(look: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        study({"overrides": {"backbones": {"qwen3": {"look": look}}}})


def test_another_look_trains_nothing_again() -> None:
    red = {"look": {"colour": "#990000", "marker": "*"}}
    made, other = study({}), study({"overrides": {"backbones": {"qwen3": red}, "methods": {"coconut": red}}})
    run = RunId("chain", "qwen3", "coconut", "full", 0)
    assert run_settings(made, run) == run_settings(other, run)
    assert study_rules.build_backbone(made, "qwen3", "seed0") == study_rules.build_backbone(other, "qwen3", "seed0")
    assert study_rules.figure(made, "accuracy_backbones") != study_rules.figure(other, "accuracy_backbones")


FOREIGN = "谁是 Elon Musk？🤖\u0001"


def test_characters_without_a_glyph_are_written_as_code_points() -> None:
    assert readable("Elon Musk, façade ≥ 3;\nα → β") == "Elon Musk, façade ≥ 3;\nα → β"
    assert readable(FOREIGN) == "[U+8C01 U+662F] Elon Musk[U+FF1F U+1F916 U+0001]"


def _foreign_activity() -> pd.DataFrame:
    rows = activity()
    return rows.assign(token=rows["token"] + "是", question=FOREIGN, response="他是 " * 60)


def test_no_figure_draws_boxes(tmp_path: Path) -> None:
    """Names, queries, answers and tokens in a script that the font lacks; matplotlib warns of each box."""
    look = Look(colour="#1f5fc4", marker="s")
    named = {"qwen3": Series(label=f"{FOREIGN} 3", look=look)}
    methods = {"coconut": Series(label=FOREIGN, look=look)}
    run = RunId("chain", "qwen3", "coconut", "full", 0)
    folder = write_run(tmp_path, run, {0: [True] * 9 + [False], 9: [True] * 10})
    rows = pd.concat([accuracy(RunId("chain", "qwen3", "coconut", "full", k), [0.2, 1.0]) for k in (0, 1)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for figure, _ in (
            drawn(AccuracyBackbones, rows, named),
            drawn(AllTestSets, frame([folder / "accuracy.parquet"]), named, methods={"coconut": FOREIGN}),
            drawn(LatentScatter, Latents(*latents({"coconut": 60}), {"coconut": 60}, {}), methods),
            drawn(ActivityHeatmap, _foreign_activity()),
            drawn(ActivitySurface, _foreign_activity()),
        ):
            figure.canvas.draw()


def test_long_texts_are_cut_off_in_titles_not_in_the_picture() -> None:
    figure, points = drawn(ActivityHeatmap, _foreign_activity())
    figure.canvas.draw()
    for axes in figure.axes[:2]:
        shown = axes.get_title() or axes.get_title(loc="left")
        (title,) = (one for one in axes.get_children() if isinstance(one, Text) and one.get_text() == shown)
        box = title.get_window_extent()
        assert 0 <= box.y0 < box.y1 <= figure.bbox.y1
        assert box.x1 <= figure.bbox.x1
    assert points["token"].str.endswith("是").all(), "the CSV keeps the text"
