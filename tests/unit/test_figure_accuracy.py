"""The accuracy figures: lines, colours, bands, ranges and a legend that hides nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from figure_data import LABELS, accuracy
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from thoughtscope.config.run import Run
from thoughtscope.errors import UserError
from thoughtscope.evaluation.statistics import wilson_interval
from thoughtscope.figures import accuracy_backbones, accuracy_live_frozen
from thoughtscope.figures.settings import Accuracy
from thoughtscope.figures.style import COLOURS

RISING = [0.35, 0.6, 0.8, 0.9, 0.92, 0.93, 0.93, 0.92, 0.93, 0.94, 0.93]


def live_frozen(shape=RISING):
    runs = [Run("chain", "qwen3", "coconut", "live", 0)]
    runs += [Run("chain", backbone, "coconut", "frozen", 0) for backbone in LABELS]
    return pd.concat([accuracy(run, np.array(shape) - 0.01 * k) for k, run in enumerate(runs)], ignore_index=True)


def backbones(shape=RISING):
    names = [name for name in LABELS if name != "mistral"]
    runs = [Run("chain", name, "coconut", "live", 0) for name in names]
    return pd.concat([accuracy(run, np.array(shape) * k / 5) for k, run in enumerate(runs, 1)], ignore_index=True)


def legend_of(figure):
    legend = figure.axes[0].get_legend()
    return dict(zip([text.get_text() for text in legend.get_texts()], legend.legend_handles, strict=True))


def hidden_share(figure, points):
    """Return the share of points and ends of bands that lie inside the legend's box."""
    figure.canvas.draw()
    axes = figure.axes[0]
    box = axes.get_legend().get_window_extent()
    drawn = [points[["step", name]].to_numpy(float) for name in ("accuracy", "ci_low", "ci_high")]
    return np.mean([box.contains(*xy) for xy in axes.transData.transform(np.concatenate(drawn))])


def test_live_and_frozen_lines_have_their_names_and_colours():
    figure, _ = accuracy_live_frozen.draw(live_frozen(), LABELS, Accuracy())
    assert {name: to_hex(handle.get_color()) for name, handle in legend_of(figure).items()} == {
        "Live Qwen3": COLOURS["orange"],
        "Frozen Qwen3": COLOURS["blue"],
        "Frozen Llama3.2": COLOURS["green"],
        "Frozen Mistral": COLOURS["pink"],
        "Frozen SmolLM3": COLOURS["purple"],
        "Frozen Gemma3": COLOURS["cyan"],
        "Frozen Qwen2.5": COLOURS["gray"],
    }


def test_backbone_lines_have_their_names_and_colours():
    figure, _ = accuracy_backbones.draw(backbones(), LABELS, Accuracy())
    assert {name: to_hex(handle.get_color()) for name, handle in legend_of(figure).items()} == {
        "Qwen3": COLOURS["blue"],
        "Llama3.2": COLOURS["green"],
        "SmolLM3": COLOURS["purple"],
        "Gemma3": COLOURS["cyan"],
        "Qwen2.5": COLOURS["gray"],
    }


@pytest.mark.parametrize(("kind", "rows"), [(accuracy_live_frozen, live_frozen()), (accuracy_backbones, backbones())])
def test_lines_differ_by_marker_and_dash_as_well_and_show_what_the_csv_holds(kind, rows):
    figure, points = kind.draw(rows, LABELS, Accuracy())
    lines = figure.axes[0].get_lines()
    assert len({line.get_marker() for line in lines}) == len(lines)
    assert len({str(line._dash_pattern) for line in lines}) == len(lines)
    for line in lines:
        mine = points[points["line"] == line.get_label()]
        np.testing.assert_allclose(line.get_xydata(), mine[["step", "accuracy"]])


def test_axes_are_named_and_go_from_a_fifth_to_one():
    figure, _ = accuracy_live_frozen.draw(live_frozen(), LABELS, Accuracy())
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Step", "Accuracy")
    assert axes.get_ylim() == (0.2, 1.0)
    np.testing.assert_allclose(axes.get_yticks(), [0.2, 0.4, 0.6, 0.8, 1.0])
    assert axes.get_legend()._loc == 4, "lower right"


def test_the_axis_starts_lower_where_the_data_do():
    figure, points = accuracy_live_frozen.draw(live_frozen(np.array(RISING) - 0.2), LABELS, Accuracy())
    assert 0 <= figure.axes[0].get_ylim()[0] <= points["ci_low"].min() < 0.2


def test_backbones_go_from_zero_to_one_with_the_legend_upper_right():
    figure, _ = accuracy_backbones.draw(backbones(), LABELS, Accuracy())
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.get_yticks(), [0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert axes.get_ylim()[0] == 0
    assert axes.get_legend()._loc == 1, "upper right"


@settings(max_examples=8, deadline=None)
@given(st.lists(st.floats(0.1, 1.0), min_size=3, max_size=12))
def test_the_legend_hides_no_data_whatever_the_curves(shape):
    for kind, rows in ((accuracy_live_frozen, live_frozen(shape)), (accuracy_backbones, backbones(shape))):
        figure, points = kind.draw(rows, LABELS, Accuracy())
        assert hidden_share(figure, points) == 0


def test_the_band_is_the_wilson_interval_of_the_items():
    rows = accuracy(Run("chain", "qwen3", "coconut", "live", 0), [0.5])
    _, points = accuracy_backbones.draw(rows, LABELS, Accuracy())
    assert (points["ci_low"][0], points["ci_high"][0]) == pytest.approx(wilson_interval(100, 200, 0.95))


def test_several_seeds_are_averaged_and_counted_in_the_legend_and_widen_the_band():
    parts = [accuracy(Run("chain", "qwen3", "coconut", "live", seed), [0.2 + 0.1 * seed, 0.6]) for seed in range(3)]
    figure, points = accuracy_backbones.draw(pd.concat(parts), LABELS, Accuracy())
    assert points["accuracy"].tolist() == pytest.approx([0.3, 0.6])
    assert points["n"].tolist() == [200, 200]
    assert points["ci_low"][0] < 0.2 < 0.4 < points["ci_high"][0], "three seeds that differ tell little of a fourth"
    assert points["ci_low"][1] == pytest.approx(wilson_interval(120, 200, 0.95)[0]), "the same items thrice"
    assert figure.axes[0].get_legend().get_title().get_text() == "mean of 3 seeds, band: 95% interval"


def test_steps_that_only_some_seeds_measured_are_left_out():
    parts = [accuracy(Run("chain", "qwen3", "coconut", "live", seed), [0.2] * (3 + seed)) for seed in range(2)]
    _, points = accuracy_backbones.draw(pd.concat(parts), LABELS, Accuracy())
    assert points["step"].tolist() == [0, 100, 200]


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        ([Run("chain", "qwen3", "coconut", "live", 0), Run("chain", "qwen3", "pause", "live", 0)], "mix methods"),
        ([Run("chain", "qwen3", "coconut", "live", 0), Run("other", "qwen3", "coconut", "live", 0)], "mix tasks"),
        ([Run("chain", "qwen3", "coconut", "live", 0), Run("chain", "qwen3", "coconut", "frozen", 0)], "mix live"),
    ],
)
def test_runs_that_do_not_belong_into_one_figure_are_refused(runs, told):
    rows = pd.concat([accuracy(run, [0.2, 0.4]) for run in runs])
    with pytest.raises(UserError, match=told):
        accuracy_backbones.draw(rows, LABELS, Accuracy())


def test_a_split_that_was_not_measured_is_an_error():
    with pytest.raises(UserError, match="validation"):
        accuracy_backbones.draw(backbones(), LABELS, Accuracy(split="validation"))
