"""summary.csv and curves.csv say what was measured."""

import numpy as np
import pandas as pd
import pytest
from synthetic import write_run

from thoughtscope.config.run import Run
from thoughtscope.errors import UserError
from thoughtscope.evaluation.curves import curves, late_drop
from thoughtscope.evaluation.settings import TableSettings
from thoughtscope.evaluation.statistics import wilson_interval
from thoughtscope.evaluation.summary import summary

SETTINGS = TableSettings(methods={"coconut": "Coconut"})
RUN = Run("chain", "qwen3", "coconut", "live", 0)


def right(count, n=100):
    return [item < count for item in range(n)]


CURVE = {0: right(10), 10: right(40), 20: right(70), 30: right(90), 40: right(88), 50: right(92), 60: right(80)}


def test_summary_has_one_row_a_run_as_it_ended(tmp_path):
    runs = [RUN, Run("chain", "qwen3", "cot", "live", 1)]
    folders = [write_run(tmp_path, run, CURVE, latents=3.0) for run in reversed(runs)]
    table = summary(folders, SETTINGS)
    assert table[["method", "label", "seed"]].to_numpy().tolist() == [["coconut", "Coconut", 0], ["cot", "cot", 1]]
    row = table.iloc[0]
    assert (row["accuracy"], row["n"], row["start_accuracy"]) == (0.8, 100, 0.1)
    assert (row["ci_low"], row["ci_high"]) == wilson_interval(80, 100, 0.95)
    assert (row["mean_latents"], row["mean_visible_tokens"]) == (3.0, 4.0)
    assert (row["updates"], row["tokens"]) == (60, 600)


def test_summary_needs_step_zero(tmp_path):
    folder = write_run(tmp_path, RUN, {10: right(40)})
    with pytest.raises(UserError, match="step 0 was not measured"):
        summary([folder], SETTINGS)


def test_summary_names_a_missing_schedule(tmp_path):
    folder = write_run(tmp_path, RUN, CURVE)
    (folder / "schedule.json").unlink()
    with pytest.raises(UserError, match=r"schedule\.json"):
        summary([folder], SETTINGS)


def test_curves_find_start_third_peak_and_end(tmp_path):
    row = curves([write_run(tmp_path, RUN, CURVE)], SETTINGS).iloc[0]
    assert [row[f"{point}_step"] for point in ("start", "third", "peak", "end")] == [0, 20, 50, 60]
    assert [row[point] for point in ("start", "third", "peak", "end")] == [0.1, 0.7, 0.92, 0.8]
    assert (row["third_low"], row["third_high"]) == wilson_interval(70, 100, 0.95)


def test_the_peak_is_the_earliest_of_equal_ones(tmp_path):
    row = curves([write_run(tmp_path, RUN, {0: right(10), 10: right(90), 20: right(90), 30: right(50)})], SETTINGS)
    assert row["peak_step"].item() == 10


def test_late_drop_holds_the_end_against_the_best_three_in_a_row(tmp_path):
    row = curves([write_run(tmp_path, RUN, CURVE)], SETTINGS).iloc[0]
    assert row["best_window"] == pytest.approx(0.9)
    assert row["best_window_step"] == 40
    assert row["late_drop"] == pytest.approx(0.1)
    assert 0 < row["late_drop_low"] < 0.1 < row["late_drop_high"] < 0.2


def test_late_drop_is_paired_by_item(tmp_path):
    """The same accuracies with other items wrong at the end: the drop is as large and less sure."""
    steady = curves([write_run(tmp_path / "a", RUN, CURVE)], SETTINGS).iloc[0]
    moved = curves([write_run(tmp_path / "b", RUN, CURVE | {60: right(80)[::-1]})], SETTINGS).iloc[0]
    assert steady["late_drop"] == pytest.approx(moved["late_drop"])
    assert moved["late_drop_high"] - moved["late_drop_low"] > 1.2 * (steady["late_drop_high"] - steady["late_drop_low"])


def test_a_rising_curve_has_no_late_drop(tmp_path):
    rising = {step: right(10 + step) for step in range(0, 70, 10)}
    row = curves([write_run(tmp_path, RUN, rising)], SETTINGS).iloc[0]
    assert row["late_drop"] == pytest.approx(-0.1)
    assert row["late_drop_high"] < 0


def test_two_measurements_have_no_running_mean(tmp_path):
    row = curves([write_run(tmp_path, RUN, {0: right(10), 10: right(90)})], SETTINGS).iloc[0]
    assert np.isnan(row["late_drop"])
    assert row["end"] == 0.9


def test_late_drop_intervals_hold_a_true_drop_of_zero_about_as_often_as_they_say():
    """Without a choice of window (three steps in all) the interval covers; see the docstring for the choice."""
    numbers = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        correct = pd.DataFrame(numbers.random((150, 3)) < 0.8).astype(float)
        drop = late_drop(correct, 0.9)
        held += drop["late_drop_low"] <= 0 <= drop["late_drop_high"]
    assert 0.86 <= held / 300 <= 0.97
