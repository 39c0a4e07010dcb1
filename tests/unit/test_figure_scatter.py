"""The latent scatters: what each panel shows."""

from __future__ import annotations

import numpy as np
import pytest
from figure_data import METHOD_SERIES as SERIES
from figure_data import METHODS, drawn, latents
from matplotlib.colors import to_hex
from mpl_toolkits.mplot3d.proj3d import proj_transform
from scipy.spatial.distance import pdist

from thoughtscope.errors import UserError
from thoughtscope.figures.latent_scatter import LatentScatter
from thoughtscope.figures.latent_scatter_training import LatentScatterTraining
from thoughtscope.figures.projection import COMPONENTS, Panel, project
from thoughtscope.figures.scatter import Latents

ALL = dict.fromkeys(METHODS, 60)
QUESTIONS = dict.fromkeys(METHODS, 60)
KEPT = {method: [100, 200, 300, 400] for method in METHODS}


def test_four_panels_show_the_chosen_steps_in_reading_order():
    figure, _ = drawn(LatentScatter, Latents(*latents(ALL), QUESTIONS, KEPT), SERIES)
    assert [axes.get_title() for axes in figure.axes] == ["Step 1", "Step 3", "Step 4", "Step 6"]
    below = [axes.get_position().y1 < 0.5 for axes in figure.axes]
    right = [axes.get_position().x0 > 0.5 for axes in figure.axes]
    assert below == [False, False, True, True]
    assert right == [False, True, False, True]


def test_methods_have_their_named_colours_and_a_marker_each_in_one_legend_on_top():
    figure, _ = drawn(LatentScatter, Latents(*latents(ALL), QUESTIONS, KEPT), SERIES)
    (legend,) = figure.legends
    entries = zip(legend.get_texts(), legend.legend_handles, strict=True)
    seen = {text.get_text(): (to_hex(handle.get_color()), handle.get_marker()) for text, handle in entries}
    assert seen == {
        "LT-Tuning": ("#d62728", "o"),
        "LT-Tuning w/o Stage 3": ("#1f5fc4", "^"),
        "Coconut": ("#2a9d3f", "s"),
    }
    figure.canvas.draw()
    assert legend.get_window_extent().y0 / figure.bbox.height > max(axes.get_position().y1 for axes in figure.axes)


def in_order(points):
    """Return points ``[n, 2]`` from left to right; matplotlib draws them from back to front."""
    return points[np.argsort(points[:, 0])]


def test_drawn_points_are_the_points_that_the_csv_holds():
    figure, points = drawn(LatentScatter, Latents(*latents(ALL), QUESTIONS, KEPT), SERIES)
    figure.canvas.draw()
    for axes in figure.axes:
        for cloud in axes.collections:
            mine = points[(points["panel"] == axes.get_title()) & (points["label"] == cloud.get_label())]
            assert len(mine) == 60
            on_page = np.stack(proj_transform(*mine[COMPONENTS].to_numpy().T, axes.get_proj())[:2], axis=1)
            np.testing.assert_allclose(in_order(cloud.get_offsets()), in_order(on_page))


def test_only_the_last_checkpoint_of_each_method_is_drawn():
    table, vectors = latents(ALL, checkpoints=(100, 400))
    table.loc[(table["method"] == "coconut") & (table["checkpoint_step"] == 400), "checkpoint_step"] = 300
    _, points = drawn(LatentScatter, Latents(table, vectors, QUESTIONS, KEPT), SERIES)
    assert points.groupby("method")["checkpoint_step"].unique().map(list).to_dict() == {
        "coconut": [300],
        "lt-tuning": [400],
        "lt-tuning-without-stage-3": [400],
    }


def test_each_panel_prints_how_many_reach_the_step_and_warns_below_fifty():
    table, vectors = latents({"lt-tuning": 20, "lt-tuning-without-stage-3": 50, "coconut": 60})
    figure, _ = drawn(LatentScatter, Latents(table, vectors, {**QUESTIONS, "lt-tuning": 80}, KEPT), SERIES)
    for axes in figure.axes:
        printed = [text.get_text() for text in axes.texts]
        assert printed == [
            "n = 20 (25%), fewer than 50, 50% before ';'",
            "n = 50 (83%), 50% before ';'",
            "n = 60 (100%), 50% before ';'",
        ]


def test_panels_and_points_say_what_the_latents_precede():
    """Step k of a method that places its latents itself may be one fixed place of the response."""
    table, vectors = latents(ALL)
    step, lt = table["latent_index"] == 3, table["method"] == "lt-tuning"
    table.loc[step & lt, ["next_token", "next_role"]] = [" ####", "separator"]
    table.loc[step & ~lt, "next_token"] = table["example_id"]
    table.loc[step & ~lt, "next_role"] = "step"
    table.loc[step & (table["method"] == "coconut"), ["next_token", "next_role"]] = None
    figure, points = drawn(LatentScatter, Latents(table, vectors, QUESTIONS, KEPT), SERIES)
    assert [text.get_text().split(", ")[1] for text in figure.axes[1].texts] == [
        *("100% before '####'", "100% before step", "100% before the end")
    ]
    assert set(points.loc[points["panel"] == "Step 3", "next_token"].dropna()) > {" ####"}
    assert set(points["questions"]) == {60}


def test_a_step_that_a_method_never_reaches_is_printed_as_none():
    table, vectors = latents(ALL)
    kept = ~((table["method"] == "lt-tuning") & (table["latent_index"] == 6)).to_numpy()
    figure, points = drawn(LatentScatter, Latents(table[kept], vectors[kept], QUESTIONS, KEPT), SERIES)
    assert figure.axes[3].texts[0].get_text() == "n = 0 (0%), fewer than 50"
    assert "lt-tuning" not in set(points.loc[points["panel"] == "Step 6", "method"])


def test_common_pca_gives_all_panels_the_same_axes_and_panel_pca_does_not():
    table, vectors = latents(ALL)
    common, _ = drawn(LatentScatter, Latents(table, vectors, QUESTIONS, KEPT), SERIES)
    own, _ = drawn(LatentScatter, Latents(table, vectors, QUESTIONS, KEPT), SERIES, pca="panel")
    assert len({axes.get_xlim() for axes in common.axes}) == 1
    assert len({axes.get_xlabel() for axes in common.axes}) == 1
    assert len({axes.get_xlim() for axes in own.axes}) == 4


def test_every_point_lies_inside_the_axes():
    figure, points = drawn(LatentScatter, Latents(*latents(ALL), QUESTIONS, KEPT), SERIES)
    axes = figure.axes[0]
    for name, (low, high) in zip(COMPONENTS, (axes.get_xlim(), axes.get_ylim(), axes.get_zlim()), strict=True):
        assert low <= points[name].min()
        assert points[name].max() <= high


def test_projection_of_vectors_in_three_dimensions_keeps_distances_and_explains_everything():
    table, _ = latents({"coconut": 40}, steps=(1,))
    rng = np.random.default_rng(1)
    flat = rng.normal(size=(40, 3)) @ np.linalg.qr(rng.normal(size=(8, 3)))[0].T
    points, explained = project(table, flat, [Panel("Step 1", np.arange(40))], LatentScatter.Settings())
    np.testing.assert_allclose(pdist(points[COMPONENTS].to_numpy()), pdist(flat), atol=1e-9)
    assert explained[0].sum() == pytest.approx(1)


def test_unit_norm_makes_the_scale_of_a_method_irrelevant():
    table, vectors = latents(ALL)
    scaled = np.where((table["method"] == "coconut").to_numpy()[:, None], 100 * vectors, vectors)
    _, plain = drawn(LatentScatter, Latents(table, vectors, QUESTIONS, KEPT), SERIES, unit_norm=True)
    _, large = drawn(LatentScatter, Latents(table, scaled, QUESTIONS, KEPT), SERIES, unit_norm=True)
    np.testing.assert_allclose(plain[COMPONENTS], large[COMPONENTS], atol=1e-5)


def test_too_few_vectors_for_three_components_are_an_error_with_its_mend():
    with pytest.raises(UserError, match="3 vectors"):
        drawn(LatentScatter, Latents(*latents({"coconut": 3}, steps=(1,)), {"coconut": 3}, KEPT), SERIES, steps=[1])


def test_training_panels_take_each_methods_checkpoints_in_order():
    table, vectors = latents(ALL, steps=(1, 2), checkpoints=(100, 200, 300, 400))
    table.loc[table["method"] == "coconut", "checkpoint_step"] += 50
    kept = {**KEPT, "coconut": [150, 250, 350, 450]}
    figure, points = drawn(LatentScatterTraining, Latents(table, vectors, QUESTIONS, kept), SERIES)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [f"Updates {k} / {k} / {k + 50}" for k in (100, 200, 300, 400)]
    assert set(points["latent_index"]) == {1}
    second = points[points["panel"] == titles[1]]
    assert second.groupby("method")["checkpoint_step"].first().to_dict()["coconut"] == 250


def test_training_panels_with_equal_updates_name_them_once():
    table, vectors = latents(ALL, steps=(1,), checkpoints=(100, 200, 300, 400))
    figure, _ = drawn(LatentScatterTraining, Latents(table, vectors, QUESTIONS, KEPT), SERIES)
    assert [axes.get_title() for axes in figure.axes] == [f"Update {k}" for k in (100, 200, 300, 400)]


def test_three_checkpoints_are_too_few_and_the_error_names_the_key():
    table, vectors = latents(ALL, steps=(1,), checkpoints=(100, 200, 300))
    kept = {method: [100, 200, 300] for method in METHODS}
    with pytest.raises(UserError, match=r"training\.keep_checkpoints"):
        drawn(LatentScatterTraining, Latents(table, vectors, QUESTIONS, kept), SERIES)


def test_a_method_without_latents_yet_leaves_its_place_in_that_panel_empty():
    table, vectors = latents(ALL, steps=(1,), checkpoints=(100, 200, 300, 400))
    late = ((table["method"] != "lt-tuning") | (table["checkpoint_step"] > 100)).to_numpy()
    figure, points = drawn(LatentScatterTraining, Latents(table[late], vectors[late], QUESTIONS, KEPT), SERIES)
    first = points[points["panel"] == figure.axes[0].get_title()]
    assert "lt-tuning" not in set(first["method"])
    assert "n = 0 (0%), fewer than 50" in [text.get_text() for text in figure.axes[0].texts]


def test_a_panel_says_which_latents_are_inert():
    data = Latents(*latents(ALL), QUESTIONS, KEPT, {"coconut": [3, 4], "lt-tuning": []})
    figure, _ = drawn(LatentScatter, data, SERIES)
    counts = {axes.get_title(): [text.get_text() for text in axes.texts] for axes in figure.axes}
    inert = {title: sum("inert" in text for text in texts) for title, texts in counts.items()}
    assert inert == {"Step 1": 0, "Step 3": 1, "Step 4": 1, "Step 6": 0}


def test_panels_may_be_roles_instead_of_steps():
    table, vectors = latents(ALL)
    table = table.assign(next_role=np.where(table["latent_index"] < 4, "step", "answer"))
    figure, points = drawn(LatentScatter, Latents(table, vectors, QUESTIONS, KEPT), SERIES, panels="roles")
    assert {axes.get_title() for axes in figure.axes} == {"Before step", "Before answer"}
    assert set(points.loc[points["panel"] == "Before step", "latent_index"]) == {1, 3}
    with pytest.raises(ValueError, match="do not fit"):
        LatentScatter.Settings(steps=[1, 2, 3, 4, 5])
