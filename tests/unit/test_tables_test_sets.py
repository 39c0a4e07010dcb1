"""test_sets.csv and its figure, from runs whose answers are known."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from synthetic import write_run

from thoughtscope.errors import UserError
from thoughtscope.evaluation.settings import Solving
from thoughtscope.figures.looks import Series
from thoughtscope.figures.test_sets import AllTestSets
from thoughtscope.run_id import RunId
from thoughtscope.settings import Look
from thoughtscope.tables import test_sets as tables

SERIES = {"b": Series(label="B", look=Look(colour="#1f5fc4", marker="s"))}
PUBLISHED = {"backbone": "b", "method": "coconut", "split": "mean", "accuracy": 0.252, "source": "arXiv 2602.10229"}
MAKE = tables.AllTestSets(tables.Comparison.model_validate({"published": [PUBLISHED]}), {"coconut": "Coconut"}).make

FIGURE = AllTestSets(Solving(), SERIES, {"coconut": "Coconut", "cot": "cot"})


def run(method: str, seed: int = 0, trainable: str = "full") -> RunId:
    return RunId("t", "b", method, trainable, seed)


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    right = {run("cot"): ([True] * 5 + [False] * 5, [True] * 4), run("coconut"): ([True] * 9 + [False], [False] * 4)}
    right[run("coconut", 1)] = ([True] * 7 + [False] * 3, [True] * 4)
    return [
        write_run(tmp_path, one, {0: [False] * 10, 9: test}, 1.0, {"test-svamp": svamp})
        for one, (test, svamp) in right.items()
    ]


def test_answers_with_another_number_of_latents_are_a_row_and_no_part_of_the_mean(tmp_path: Path) -> None:
    answers = {"test-svamp": [True] * 10, "test, latents: 0": [False] * 10}
    table = MAKE([write_run(tmp_path, run("coconut"), {0: [False] * 10, 9: [True] * 10}, 1.0, answers)])
    assert row(table, "coconut", "test, latents: 0")["accuracy"] == 0
    assert row(table, "coconut", "mean")["accuracy"] == 1


def row(table: pd.DataFrame, method: str, split: str) -> pd.Series:
    return table.set_index(["method", "split"]).loc[(method, split)]


def test_seeds_are_taken_together_and_sets_weigh_alike(folders: list[Path]) -> None:
    table = MAKE(folders)
    assert list(table.columns) == tables.AllTestSets.COLUMNS
    test, svamp, mean = (row(table, "coconut", split) for split in ("test", "test-svamp", "mean"))
    assert (test["n"], test["accuracy"], test["seeds"]) == (10, 0.8, 2)
    assert (svamp["n"], svamp["accuracy"]) == (4, 0.5)
    assert (svamp["ci_low"], svamp["ci_high"]) == (0, 1), "one seed knew all, one nothing"
    assert mean["accuracy"] == pytest.approx(0.65)
    assert mean["ci_low"] < 0.65 < mean["ci_high"]
    assert (mean["lowest_seed"], mean["highest_seed"]) == pytest.approx((0.45, 0.85))
    assert (test["overlap"], svamp["overlap"], mean["overlap"]) == (2, 0, 2), "items that are in train are counted"
    assert test["label"] == "Coconut"
    assert test["mean_forward_passes"] == 5, "as the engine counted them, not latents and tokens"
    assert (test["seeds_solved"], test["solved_low"]) == (0, 0)
    assert pd.isna(test["accuracy_solved"])
    assert (svamp["seeds_solved"], svamp["accuracy_solved"]) == (1, 1.0)


def test_differences_are_paired_over_the_seeds_that_both_have(folders: list[Path]) -> None:
    table = MAKE(folders)
    test = row(table, "coconut", "test")
    assert test["difference"] == pytest.approx(0.4), "seed 0 alone: nine right against five"
    assert test["difference_low"] < 0.4 < test["difference_high"]
    assert pd.isna(row(table, "cot", "test")["difference"])
    mean = row(table, "coconut", "mean")
    assert mean["difference"] == pytest.approx((0.4 - 1.0) / 2)
    assert mean["difference_low"] < mean["difference"] < mean["difference_high"]


def test_published_values_stand_beside_ours_with_their_source(folders: list[Path]) -> None:
    table = MAKE(folders)
    mean = row(table, "coconut", "mean")
    assert (mean["published"], mean["published_source"]) == (0.252, "arXiv 2602.10229")
    assert table["published"].notna().sum() == 1


def test_different_items_are_refused(tmp_path: Path) -> None:
    made = [write_run(tmp_path, run(name), {0: [True] * n, 9: [True] * n}) for name, n in (("cot", 4), ("coconut", 5))]
    with pytest.raises(UserError, match="measured on different items of test"):
        MAKE(made)


def test_the_figure_has_a_panel_for_each_set(folders: list[Path]) -> None:
    figure, points = FIGURE.draw(FIGURE.read(folders))
    assert [axes.get_title() for axes in figure.axes] == ["test", "svamp"]
    assert len(points) == 4
    note = "mean of 1 to 2 seeds; bars: 95% interval over questions and seeds; k/n: seeds that end at .95 or above"
    assert note in [text.get_text() for text in figure.texts]
    assert {text.get_text() for axes in figure.axes for text in axes.texts} == {"0/2", "1/2"}
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["Coconut", "cot"]


def test_live_and_frozen_runs_are_not_mixed(tmp_path: Path) -> None:
    made = [write_run(tmp_path, run("cot", 0, way), {0: [True], 9: [True]}) for way in ("full", "lora")]
    with pytest.raises(UserError, match="mix several of trainable"):
        FIGURE.draw(FIGURE.read(made))
