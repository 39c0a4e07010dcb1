"""The activity figures: which response is where, limits, colours, grey cells, tokens."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from figure_data import QUESTION, RESPONSES, activity, drawn
from matplotlib import colormaps
from matplotlib.colors import to_rgba
from mpl_toolkits.mplot3d.proj3d import proj_transform

from thoughtscope.errors import UserError
from thoughtscope.figures import style
from thoughtscope.figures.activity import grids
from thoughtscope.figures.activity_heatmap import ActivityHeatmap
from thoughtscope.figures.activity_surface import ActivitySurface, mesh

KINDS = [ActivitySurface, ActivityHeatmap]


def panels(figure):
    return figure.axes[:2], figure.axes[2]


def drawn_corners(axes):
    """Return the corners of a drawn surface on the page, ``[corners, 2]``."""
    axes.figure.canvas.draw()
    return np.concatenate([path.vertices for path in axes.collections[0].get_paths()])


def on_page(axes, layer, position, score):
    """Return where a point of a drawn 3D panel is on the page, in the coordinates of `drawn_corners`."""
    return proj_transform(layer, position, score, axes.get_proj())[:2]


@pytest.mark.parametrize("kind", KINDS)
def test_the_false_response_comes_first_and_titles_hold_query_and_response(kind):
    figure, points = drawn(kind, activity())
    titles = [axes.get_title() or axes.get_title(loc="left") for axes in panels(figure)[0]]
    for title, response, name in zip(titles, RESPONSES, ("false response", "true response"), strict=True):
        assert " ".join(title.split()).startswith(f"User: {QUESTION} Assistant: {response}")
        assert name in title
    assert points["panel"].unique().tolist() == ["false", "true"]
    assert set(points.loc[points["panel"] == "false", "label"]) == {0}


def test_both_surfaces_share_limits_and_name_their_axes():
    figure, _ = drawn(ActivitySurface, activity())
    (left, right), _ = panels(figure)
    for axis in "xyz":
        assert getattr(left, f"get_{axis}lim")() == getattr(right, f"get_{axis}lim")()
    for axes in (left, right):
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("Layer", "Generated Token Position")
        assert axes.get_zlabel() == "Activity Score"


def test_one_colour_bar_goes_from_green_below_to_red_above_with_zero_in_the_middle():
    figure, points = drawn(ActivitySurface, activity())
    _, bar = panels(figure)
    assert len(figure.axes) == 3
    assert bar.get_ylabel() == "Activity Score"
    low, high = bar.get_ylim()
    assert -low == high == pytest.approx(points["score"].abs().max())
    red, green, _, _ = colormaps[style.SCORE_MAP](0.0)
    assert green > red
    red, green, _, _ = colormaps[style.SCORE_MAP](1.0)
    assert red > green


def test_the_surface_passes_through_every_score():
    figure, points = drawn(ActivitySurface, activity())
    for axes, name in zip(panels(figure)[0], ("false", "true"), strict=True):
        corners = drawn_corners(axes)
        for cell in points[points["panel"] == name].itertuples():
            assert np.isclose(corners, on_page(axes, cell.layer, cell.position, cell.score)).all(axis=1).any()


def test_exactly_the_facets_nearest_to_a_cell_without_evidence_are_grey():
    rows = activity(grey=[(1, 2)])
    figure, _ = drawn(ActivitySurface, rows)
    for axes, grid in zip(panels(figure)[0], grids(rows, ActivitySurface.Settings())[0], strict=True):
        surface = mesh(grid)
        x, y = ((edges[:-1] + edges[1:]) / 2 for edges in (surface.layers, surface.positions))
        np.testing.assert_array_equal(surface.grey, (np.abs(x - 1) < 0.5) & (np.abs(y - 2) < 0.5)[:, None])
        axes.figure.canvas.draw()
        grey = np.isclose(axes.collections[0].get_facecolor(), to_rgba(style.MUTED)).all(axis=1)
        assert grey.sum() == surface.grey.sum() == 4


def test_heat_map_cells_hold_the_scores_and_tokens_stand_on_the_axis():
    figure, points = drawn(ActivityHeatmap, activity(grey=[(0, 1), (3, 4)]))
    for axes, response, sign in zip(panels(figure)[0], RESPONSES, (-1, 1), strict=True):
        assert [label.get_text() for label in axes.get_xticklabels()] == response.split(" ")
        assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "1", "2", "3"]
        cells = axes.images[0].get_array()
        grey = np.isclose(cells, to_rgba(style.MUTED)).all(axis=2)
        assert np.argwhere(grey).tolist() == [[0, 1], [3, 4]]
        expected = colormaps[style.DIVERGING_MAP](0.5 + sign * (2 - 0.1) / 6)
        np.testing.assert_allclose(cells[2, 1], expected, atol=0.02)
    assert set(points.loc[(points["layer"] == 3) & (points["position"] == 4), "evidence"]) == {"no"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_direction_of_last_tokens_colours_the_last_column_only(kind):
    figure, points = drawn(kind, activity(), fitted_on="last")
    assert set(points.loc[points["evidence"] == "yes", "distance"]) == {0}
    assert "calibrated there only" in figure.texts[-1].get_text()


@pytest.mark.parametrize("kind", KINDS)
def test_the_foot_says_what_a_score_means_and_that_nothing_shows_where_nothing_does(kind):
    figure, _ = drawn(kind, activity(grey=[(0, 0)]), title="A title")
    foot = figure.texts[-1].get_text()
    assert foot.startswith("A title\n0: midway between true and false predicate tokens")
    assert "grey: held-out statements are not told apart" in foot
    everywhere = [(layer, position) for layer in range(4) for position in range(7)]
    figure, _ = drawn(kind, activity(grey=everywhere))
    assert "the scores show nothing" in figure.texts[-1].get_text()


def test_colours_span_the_cells_with_evidence():
    rows = activity()
    rows.loc[(rows["layer"] == 0) & (rows["position"] == 0), ["score", "evidence"]] = [99.0, "no"]
    figure, _ = drawn(ActivityHeatmap, rows)
    assert panels(figure)[1].get_ylim()[1] == pytest.approx(3.0)
    figure, _ = drawn(ActivitySurface, rows)
    axes = panels(figure)[0][0]
    assert axes.get_zlim()[1] == pytest.approx(3.0)
    corners = drawn_corners(axes)
    assert np.isclose(corners, on_page(axes, 0, 0, 0)).all(axis=1).any(), "a cell without evidence lies at 0"
    assert not np.isclose(corners, on_page(axes, 0, 0, 99)).all(axis=1).any()


def test_an_attribute_chooses_the_counterparts():
    rows = activity()
    counterparts = rows.assign(attribute="origin", example_id=rows["example_id"] + "-origin")
    doubled = pd.concat([rows, counterparts])
    for attribute, names in ((None, ["display-0", "display-1"]), ("origin", ["display-0-origin", "display-1-origin"])):
        _, points = drawn(ActivityHeatmap, doubled, attribute=attribute)
        assert points["example_id"].unique().tolist() == names
    with pytest.raises(UserError, match="of attribute 'other'"):
        drawn(ActivityHeatmap, doubled, attribute="other")


def test_layers_of_the_heat_map_are_as_many_as_cells_and_the_first_is_at_the_bottom():
    figure, _ = drawn(ActivityHeatmap, activity(layers=4))
    low, high = panels(figure)[0][0].get_ylim()
    assert (low, high) == (-0.5, 3.5)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_direction_or_query_is_an_error(kind):
    with pytest.raises(UserError, match="difference-of-means"):
        drawn(kind, activity(), direction="difference-of-means")
    with pytest.raises(UserError, match="Who else"):
        drawn(kind, activity(), question="Who else?")


def test_a_query_with_only_a_true_response_is_an_error():
    rows = activity()
    with pytest.raises(UserError, match="false and a true"):
        drawn(ActivitySurface, rows[rows["label"] == 1])


def test_dollar_signs_in_a_response_are_text_not_formulas():
    rows = activity()
    rows["token"] = "$x^2$"
    rows["response"] = "costs $1 or $2"
    figure, _ = drawn(ActivityHeatmap, rows)
    with style.applied():
        figure.canvas.draw()
    labels = panels(figure)[0][0].get_xticklabels()
    assert not any(label.get_parse_math() for label in labels)
