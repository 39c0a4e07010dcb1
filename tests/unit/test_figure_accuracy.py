"""The accuracy figures: lines, colours, bands, ranges and a legend that hides nothing."""

from __future__ import annotations

import re
from io import StringIO
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from figure_data import BACKBONE_SERIES, LABELS, LINE_SERIES, accuracy, drawn
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

from thoughtscope.errors import UserError
from thoughtscope.figures.accuracy_backbones import AccuracyBackbones
from thoughtscope.figures.accuracy_live_frozen import AccuracyLiveFrozen
from thoughtscope.run_id import RunId
from thoughtscope.statistics import wilson_interval

COLOURS = {  # as the figures are described
    "red": "#d62728",
    "blue": "#1f5fc4",
    "green": "#2a9d3f",
    "orange": "#ff7f0e",
    "pink": "#f06eb8",
    "purple": "#8245b5",
    "cyan": "#17becf",
    "gray": "#7f7f7f",
}
SERIES = {AccuracyLiveFrozen: LINE_SERIES, AccuracyBackbones: BACKBONE_SERIES}
RISING = [0.35, 0.6, 0.8, 0.9, 0.92, 0.93, 0.93, 0.92, 0.93, 0.94, 0.93]


def live_frozen(shape=RISING):
    runs = [RunId("chain", "qwen3", "coconut", "full", 0)]
    runs += [RunId("chain", backbone, "coconut", "lora", 0) for backbone in LABELS]
    return pd.concat([accuracy(run, np.array(shape) - 0.01 * k) for k, run in enumerate(runs)], ignore_index=True)


def backbones(shape=RISING):
    names = [name for name in LABELS if name != "mistral"]
    runs = [RunId("chain", name, "coconut", "full", 0) for name in names]
    return pd.concat([accuracy(run, np.array(shape) * k / 5) for k, run in enumerate(runs, 1)], ignore_index=True)


def legend_of(figure):
    legend = figure.axes[0].get_legend()
    return dict(zip([text.get_text() for text in legend.get_texts()], legend.legend_handles, strict=True))


def legend_corner(figure):
    """Return the corner of the axes that the legend is nearest to."""
    figure.canvas.draw()
    (axes,) = figure.axes
    legend, frame = axes.get_legend().get_window_extent(), axes.get_window_extent()
    below, above = legend.y0 - frame.y0, frame.y1 - legend.y1
    left, right = legend.x0 - frame.x0, frame.x1 - legend.x1
    return "lower" if below < above else "upper", "left" if left < right else "right"


def dashes_of(figure):
    """Return the different dash patterns of the lines, as the SVG has them; None is a solid line."""
    for line in figure.axes[0].get_lines():
        line.set_gid(f"series {line.get_label()}")
    svg = StringIO()
    figure.savefig(svg, format="svg")
    groups = [one for one in ElementTree.fromstring(svg.getvalue()).iter() if one.get("id", "").startswith("series ")]
    assert len(groups) == len(figure.axes[0].get_lines())
    found = [re.search(r"stroke-dasharray: ([^;]+)", group[0].get("style")) for group in groups]
    return {match and match[1] for match in found}


def hidden_share(figure, points):
    """Return the share of points and ends of bands that lie inside the legend's box."""
    figure.canvas.draw()
    axes = figure.axes[0]
    box = axes.get_legend().get_window_extent()
    drawn = [points[["step", name]].dropna().to_numpy(float) for name in ("accuracy", "ci_low", "ci_high")]
    return np.mean([box.contains(*xy) for xy in axes.transData.transform(np.concatenate(drawn))])


def test_live_and_frozen_lines_have_their_names_and_colours():
    figure, _ = drawn(AccuracyLiveFrozen, live_frozen(), LINE_SERIES)
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
    figure, _ = drawn(AccuracyBackbones, backbones(), BACKBONE_SERIES)
    assert {name: to_hex(handle.get_color()) for name, handle in legend_of(figure).items()} == {
        "Qwen3": COLOURS["blue"],
        "Llama3.2": COLOURS["green"],
        "SmolLM3": COLOURS["purple"],
        "Gemma3": COLOURS["cyan"],
        "Qwen2.5": COLOURS["gray"],
    }


@pytest.mark.parametrize(("kind", "rows"), [(AccuracyLiveFrozen, live_frozen()), (AccuracyBackbones, backbones())])
def test_lines_differ_by_marker_and_dash_as_well_and_show_what_the_csv_holds(kind, rows):
    figure, points = drawn(kind, rows, SERIES[kind])
    lines = figure.axes[0].get_lines()
    assert len({line.get_marker() for line in lines}) == len(lines)
    assert len(dashes_of(figure)) == len(lines)
    for line in lines:
        mine = points[points["line"] == line.get_label()]
        np.testing.assert_allclose(line.get_xydata(), mine[["step", "accuracy"]])


def test_axes_are_named_and_go_from_a_fifth_to_one():
    figure, _ = drawn(AccuracyLiveFrozen, live_frozen(), LINE_SERIES)
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Step", "Accuracy")
    assert axes.get_ylim() == (0.2, 1.0)
    np.testing.assert_allclose(axes.get_yticks(), [0.2, 0.4, 0.6, 0.8, 1.0])
    assert legend_corner(figure) == ("lower", "right")


def test_the_axis_starts_lower_where_the_data_do():
    figure, points = drawn(AccuracyLiveFrozen, live_frozen(np.array(RISING) - 0.2), LINE_SERIES)
    assert 0 <= figure.axes[0].get_ylim()[0] <= points["ci_low"].min() < 0.2


def test_backbones_go_from_zero_to_one_with_the_legend_upper_right():
    figure, _ = drawn(AccuracyBackbones, backbones(), BACKBONE_SERIES)
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.get_yticks(), [0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert axes.get_ylim()[0] == 0
    assert legend_corner(figure) == ("upper", "right")


@settings(max_examples=5, deadline=None)
@given(st.lists(st.floats(0.1, 1.0), min_size=3, max_size=12))
def test_the_legend_hides_no_data_whatever_the_curves(shape):
    for kind, rows in ((AccuracyLiveFrozen, live_frozen(shape)), (AccuracyBackbones, backbones(shape))):
        figure, points = drawn(kind, rows, SERIES[kind])
        assert hidden_share(figure, points) == 0


def test_the_band_is_the_wilson_interval_of_the_items():
    rows = accuracy(RunId("chain", "qwen3", "coconut", "full", 0), [0.5])
    _, points = drawn(AccuracyBackbones, rows, BACKBONE_SERIES)
    assert (points["ci_low"][0], points["ci_high"][0]) == pytest.approx(wilson_interval(100, 200, 0.95))


def title_of(figure):
    return figure.axes[0].get_legend().get_title().get_text()


def band_of(figure):
    box = figure.axes[0].collections[0].get_paths()[0].get_extents()
    return box.y0, box.y1


def test_one_seed_is_called_one_and_its_band_is_over_questions():
    figure, points = drawn(AccuracyBackbones, backbones(), BACKBONE_SERIES)
    assert title_of(figure) == "1 seed; band: 95% interval over questions"
    mine = points[points["series"] == "qwen3"]
    assert band_of(figure) == pytest.approx((mine["ci_low"].min(), mine["ci_high"].max()))


def seeds(ends, last=0.2):
    parts = [accuracy(RunId("chain", "qwen3", "coconut", "full", k), [0.1, 0.4, end]) for k, end in enumerate(ends)]
    return pd.concat([*parts, accuracy(RunId("chain", "gemma3", "coconut", "full", 0), [0.1, 0.2, last])])


def test_several_seeds_are_averaged_and_counted_and_their_range_is_the_band():
    rows = seeds([0.98, 1.0, 0.2])
    figure, points = drawn(AccuracyBackbones, rows[rows["backbone"] == "qwen3"], BACKBONE_SERIES)
    assert points["accuracy"].tolist() == pytest.approx([0.1, 0.4, (0.98 + 1 + 0.2) / 3])
    assert points["n"].tolist() == [200] * 3
    assert (points["lowest_seed"].iloc[-1], points["highest_seed"].iloc[-1]) == (0.2, 1.0)
    assert points["ci_low"].iloc[-1] < 0.25 < 0.98 < points["ci_high"].iloc[-1], "the fourth may do either"
    assert list(legend_of(figure)) == ["Qwen3  2/3 [.21, .94]"]
    assert title_of(figure) == (
        "mean of 3 seeds; band: lowest to highest seed\nk/n: seeds that end at .95 or above [95% interval]"
    )
    assert band_of(figure) == pytest.approx((0.1, 1.0))


@pytest.mark.parametrize(("ends", "thin"), [([1, 1, 1], False), ([0.2, 0.1, 0.2], False), ([1, 1, 0.2], True)])
def test_a_line_of_which_some_seeds_solve_the_task_and_some_do_not_is_thin(ends, thin):
    figure, points = drawn(AccuracyBackbones, seeds(ends), BACKBONE_SERIES)
    several, one = figure.axes[0].get_lines()
    assert (several.get_linewidth() < 0.6 * one.get_linewidth()) == thin
    solving = sum(end >= 0.95 for end in ends)
    assert several.get_label().startswith(f"Qwen3  {solving}/3 [")
    assert one.get_label() == "Gemma3"
    assert "mean of 1 to 3 seeds" in title_of(figure)
    assert "(of one seed: 95% interval over questions)" in title_of(figure)
    assert points.groupby("series")["seeds_solved"].first()["qwen3"] == solving


def test_without_a_threshold_no_seed_is_counted():
    figure, points = drawn(AccuracyBackbones, seeds([1, 1, 0.2]), BACKBONE_SERIES, solved_at=None)
    assert list(legend_of(figure)) == ["Qwen3", "Gemma3"]
    assert "k/n" not in title_of(figure)
    assert points["seeds_solved"].isna().all()


def test_the_ends_of_stages_are_marked_on_each_line():
    runs = [RunId("chain", name, "coconut", "full", 0) for name in ("qwen3", "llama3.2")]
    rows = [
        accuracy(run, [0.1, 0.2, 0.4, 0.4, 0.9], ends=ends) for run, ends in zip(runs, ([100, 200], [300]), strict=True)
    ]
    figure, points = drawn(AccuracyBackbones, pd.concat(rows), BACKBONE_SERIES)
    switches = points[points["mark"] == "stage switch"]
    assert switches[["series", "step", "accuracy"]].to_numpy().tolist() == [
        ["qwen3", 100, 0.2],
        ["qwen3", 200, 0.4],
        ["llama3.2", 300, 0.4],
    ]
    marks = [one for one in figure.axes[0].collections if isinstance(one, PathCollection)]
    assert [one.get_offsets().tolist() for one in marks] == [[[100, 0.2], [200, 0.4]], [[300, 0.4]]]
    assert any("a stage ends" in text.get_text() for text in figure.axes[0].texts)


def test_only_what_the_last_stages_layout_gave_is_drawn():
    run = RunId("chain", "qwen3", "coconut", "full", 0)
    rows = pd.concat([accuracy(run, [0.1, 0.2, 0.9]), accuracy(run, [0.5, 1.0], layout="current")])
    figure, points = drawn(AccuracyBackbones, rows, BACKBONE_SERIES)
    assert points["accuracy"].tolist() == [0.1, 0.2, 0.9]
    assert any("answered as the last stage does" in text.get_text() for text in figure.axes[0].texts)


def test_steps_that_only_some_seeds_measured_are_left_out_and_a_run_that_has_ended_keeps_its_accuracy():
    """One seed ends at update 200, the other at 300; it alone was measured at 100."""
    short, long = (
        accuracy(RunId("chain", "qwen3", "coconut", "full", seed), [0.2, 0.4, 0.6, 0.8][: 3 + seed])
        for seed in range(2)
    )
    _, points = drawn(AccuracyBackbones, pd.concat([short[short["step"] != 100], long]), BACKBONE_SERIES)
    assert points["step"].tolist() == [0, 200, 300]
    assert points["accuracy"].tolist() == pytest.approx([0.2, 0.6, 0.7])


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        ([RunId("chain", "qwen3", "coconut", "full", 0), RunId("chain", "qwen3", "pause", "full", 0)], "mix methods"),
        ([RunId("chain", "qwen3", "coconut", "full", 0), RunId("other", "qwen3", "coconut", "full", 0)], "mix tasks"),
        ([RunId("chain", "qwen3", "coconut", "full", 0), RunId("chain", "qwen3", "coconut", "lora", 0)], "mix live"),
    ],
)
def test_runs_that_do_not_belong_into_one_figure_are_refused(runs, told):
    rows = pd.concat([accuracy(run, [0.2, 0.4]) for run in runs])
    with pytest.raises(UserError, match=told):
        drawn(AccuracyBackbones, rows, BACKBONE_SERIES)


def test_a_split_that_was_not_measured_is_an_error():
    with pytest.raises(UserError, match="validation"):
        drawn(AccuracyBackbones, backbones(), BACKBONE_SERIES, split="validation")
