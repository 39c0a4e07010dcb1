"""summary.csv and curves.csv say what was measured."""

import json
from dataclasses import replace
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from synthetic import write_run

from thoughtscope.errors import UserError
from thoughtscope.evaluation.settings import Solving
from thoughtscope.latents.generate import Stopped
from thoughtscope.run_id import RunId
from thoughtscope.schemas import STOPPED
from thoughtscope.statistics import wilson_interval
from thoughtscope.tables.curves import Curves, late_drop
from thoughtscope.tables.solved import SOLVED
from thoughtscope.tables.summary import Summary

LABELS = {"coconut": "Coconut"}
SUMMARY, CURVES = Summary(Solving(), LABELS).make, Curves(Solving(), LABELS).make
RUN = RunId("chain", "qwen3", "coconut", "full", 0)


def right(count, n=100):
    return [item < count for item in range(n)]


CURVE = {0: right(10), 10: right(40), 20: right(70), 30: right(90), 40: right(88), 50: right(92), 60: right(80)}


def test_summary_has_one_row_a_run_as_it_ended(tmp_path):
    runs = [RUN, RunId("chain", "qwen3", "cot", "full", 1)]
    folders = [write_run(tmp_path, run, CURVE, latents=3.0) for run in reversed(runs)]
    table = SUMMARY(folders)
    assert table[["method", "label", "seed"]].to_numpy().tolist() == [["coconut", "Coconut", 0], ["cot", "cot", 1]]
    row = table.iloc[0]
    assert (row["accuracy"], row["n"], row["start_accuracy"]) == (0.8, 100, 0.1)
    assert (row["ci_low"], row["ci_high"]) == wilson_interval(80, 100, 0.95)
    assert (row["mean_latents"], row["mean_visible_tokens"], row["mean_forward_passes"]) == (3.0, 4.0, 5.0)
    assert (row["updates"], row["labelled_tokens"], row["positions"]) == (60, 180, 600)


def test_summary_reports_the_best_model_next_to_the_last_one(tmp_path):
    plain = write_run(tmp_path / "plain", RUN, CURVE)
    assert SUMMARY([plain])[["best_step", "best_validation", "best_accuracy"]].isna().all(axis=None)
    folder = write_run(tmp_path, RUN, CURVE)
    schedule = json.loads((folder / "schedule.json").read_text())
    (folder / "schedule.json").write_text(json.dumps({**schedule, "best": {"step": 50, "validation": 0.75}}))
    row = SUMMARY([folder]).iloc[0]
    assert (row["best_step"], row["best_validation"], row["best_accuracy"], row["accuracy"]) == (50, 0.75, 0.92, 0.8)


def test_summary_gives_the_shares_of_responses_that_stopped_in_each_way(tmp_path):
    folder = write_run(
        tmp_path, RUN, CURVE, stopped=["eos", "eos", "length", "loop"], current={10: right(3)}, ends=[30]
    )
    row = SUMMARY([folder]).iloc[0]
    assert row[["stopped_eos", "stopped_length", "stopped_loop"]].tolist() == [0.5, 0.25, 0.25]
    assert {f"stopped_{how}" for how in get_args(Stopped)} == {f"stopped_{how}" for how in STOPPED}


def test_summary_and_curves_say_how_many_seeds_solve_the_task(tmp_path):
    ends = [95, 94, 100, 99]
    folders = [
        write_run(tmp_path, replace(RUN, seed=seed), {0: right(10), 10: right(20), 20: right(end)}, ends=[10])
        for seed, end in enumerate(ends)
    ]
    folders.append(write_run(tmp_path, RunId("chain", "qwen3", "cot", "full", 0), {0: right(1), 20: right(2)}))
    for table in (SUMMARY(folders), CURVES(folders)):
        coconut = table[table["method"] == "coconut"].drop_duplicates("seed")
        assert coconut["solved"].tolist() == [True, False, True, True]
        assert coconut[["seeds", "seeds_solved"]].drop_duplicates().to_numpy().tolist() == [[4, 3]]
        low, high = wilson_interval(3, 4, 0.95)
        assert (coconut["solved_low"] == low).all()
        assert (coconut["solved_high"] == high).all()
        assert table[table["method"] == "cot"].iloc[0][["seeds", "seeds_solved"]].tolist() == [1, 0]
    free = Summary(Solving(solved_at=None), LABELS).make(folders)
    assert free[SOLVED].isna().all(axis=None)


def test_summary_needs_step_zero(tmp_path):
    folder = write_run(tmp_path, RUN, {10: right(40)})
    with pytest.raises(UserError, match="step 0 was not measured"):
        SUMMARY([folder])


def test_summary_names_a_missing_schedule(tmp_path):
    folder = write_run(tmp_path, RUN, CURVE)
    (folder / "schedule.json").unlink()
    with pytest.raises(UserError, match=r"schedule\.json"):
        SUMMARY([folder])


LATENT = {0: right(5), 20: right(6), 40: right(90), 60: right(30), 80: right(28), 100: right(20)}
TEXT = {0: right(10), 20: right(80), 40: right(98), 60: right(97)}


def test_curves_have_a_row_for_each_stage_from_that_stage_alone(tmp_path):
    """A curriculum that grows harder: text, learned; then latents, of which half is lost."""
    table = CURVES([write_run(tmp_path, RUN, LATENT, current=TEXT, ends=[40, 70])])
    first, second, last = (row for _, row in table.iterrows())
    assert table[
        ["stage_index", "stages", "layout", "first_step", "last_step", "measurements"]
    ].to_numpy().tolist() == [
        [0, 3, "current", 0, 40, 3],
        [1, 3, "current", 40, 70, 1],
        [2, 3, "last", 70, 100, 2],
    ]
    assert [first[f"{point}_step"] for point in ("start", "third", "peak", "end")] == [0, 20, 40, 40]
    assert (first["end"], second["end"], last["peak"], last["end"]) == (0.98, 0.97, 0.28, 0.2)
    assert last["peak_step"] == 80, "neither the last layout's .90 in a stage before, nor text's .98"
    assert first["late_drop"] == pytest.approx((0.10 + 0.80 + 0.98) / 3 - 0.98)
    assert np.isnan(last["late_drop"]), "fewer than three measurements"


def test_a_stage_that_is_worse_than_the_one_before_is_marked(tmp_path):
    table = CURVES([write_run(tmp_path, RUN, LATENT, current=TEXT, ends=[40, 70])])
    assert np.isnan(table["change"][0])
    assert table["change"][1:].tolist() == pytest.approx([-0.01, -0.77])
    assert table["worse"][1:].tolist() == [False, True]
    assert (table["change_low"][1:] < table["change"][1:]).all()
    assert (table["change"][1:] < table["change_high"][1:]).all()


def test_curves_find_start_third_peak_and_end(tmp_path):
    row = CURVES([write_run(tmp_path, RUN, CURVE)]).iloc[0]
    assert [row[f"{point}_step"] for point in ("start", "third", "peak", "end")] == [0, 20, 50, 60]
    assert [row[point] for point in ("start", "third", "peak", "end")] == [0.1, 0.7, 0.92, 0.8]
    assert (row["third_low"], row["third_high"]) == wilson_interval(70, 100, 0.95)


def test_the_peak_is_the_earliest_of_equal_ones(tmp_path):
    row = CURVES([write_run(tmp_path, RUN, {0: right(10), 10: right(90), 20: right(90), 30: right(50)})])
    assert row["peak_step"].item() == 10


def test_late_drop_holds_the_end_against_the_best_three_in_a_row(tmp_path):
    row = CURVES([write_run(tmp_path, RUN, CURVE)]).iloc[0]
    assert row["best_window"] == pytest.approx(0.9)
    assert row["best_window_step"] == 40
    assert row["late_drop"] == pytest.approx(0.1)
    assert 0 < row["late_drop_low"] < 0.1 < row["late_drop_high"] < 0.2


def test_late_drop_is_paired_by_item(tmp_path):
    """The same accuracies with other items wrong at the end: the drop is as large and less sure."""
    steady = CURVES([write_run(tmp_path / "a", RUN, CURVE)]).iloc[0]
    moved = CURVES([write_run(tmp_path / "b", RUN, CURVE | {60: right(80)[::-1]})]).iloc[0]
    assert steady["late_drop"] == pytest.approx(moved["late_drop"])
    assert moved["late_drop_high"] - moved["late_drop_low"] > 1.2 * (steady["late_drop_high"] - steady["late_drop_low"])


def test_a_rising_curve_has_no_late_drop(tmp_path):
    rising = {step: right(10 + step) for step in range(0, 70, 10)}
    row = CURVES([write_run(tmp_path, RUN, rising)]).iloc[0]
    assert row["late_drop"] == pytest.approx(-0.1)
    assert row["late_drop_high"] < 0


def test_two_measurements_have_no_running_mean(tmp_path):
    row = CURVES([write_run(tmp_path, RUN, {0: right(10), 10: right(90)})]).iloc[0]
    assert np.isnan(row["late_drop"])
    assert row["end"] == 0.9


def test_late_drop_intervals_hold_a_true_drop_of_zero_about_as_often_as_they_say():
    """Without a choice of window (three steps in all) the interval covers; see the docstring for the choice."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        correct = pd.DataFrame(rng.random((150, 3)) < 0.8).astype(float)
        drop = late_drop(correct, 0.9)
        held += drop["late_drop_low"] <= 0 <= drop["late_drop_high"]
    assert 0.86 <= held / 300 <= 0.97
