"""What a response costs: operations against PyTorch's own count, the table and the figure."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from synthetic import write_run
from torch.utils.flop_counter import FlopCounterMode

from tests.families import make_model
from thoughtscope.errors import UserError
from thoughtscope.figures.accuracy_cost import AXES, AccuracyCost, CostSettings
from thoughtscope.figures.looks import Series
from thoughtscope.latents.cost import Sizes, operations
from thoughtscope.run_id import RunId
from thoughtscope.settings import Look
from thoughtscope.tables.accuracy_cost import AccuracyCost as Table

RUNS = [RunId("chain", "qwen3", method, "full", seed) for method in ("coconut", "codi") for seed in (0, 1)]


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_operations_are_those_that_pytorch_counts(family: str) -> None:
    model, length = make_model(family, attention="eager"), 12
    sizes = Sizes.of(model)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=torch.full((1, length), 7), use_cache=False)
    counted = {str(name): value for name, value in counter.get_flop_counts()["Global"].items()}
    attention = sum(value for name, value in counted.items() if "bmm" in name)
    linear = sum(counted.values()) - attention
    ours = operations(sizes, [(0, length)], scored=length, filled=0)
    seen = 4 * sizes.attention * length * (length + 1) // 2
    assert attention == 4 * sizes.attention * length * length, "eager attention computes what the mask hides, too"
    assert ours - seen == pytest.approx(linear, rel=1e-12)


def test_passes_over_the_same_positions_count_again() -> None:
    sizes = Sizes(body=10, attention=3, head=100, fill=7)
    once = operations(sizes, [(0, 4), (4, 5)], scored=2, filled=1)
    assert once == 2 * (10 * 5 + 100 * 2 + 7) + 4 * 3 * (1 + 2 + 3 + 4 + 5)
    again = operations(sizes, [(0, 4), (2, 4), (4, 5)], scored=2, filled=1)
    assert again - once == 2 * 10 * 2 + 4 * 3 * (3 + 4)


def folders(tmp_path: Path) -> list[Path]:
    shares = {"coconut": 80, "codi": 95}
    return [
        write_run(
            tmp_path, run, {0: [True] * 10 + [False] * 90, 10: [i < shares[run.method] - run.seed for i in range(100)]},
            latents=6.0, passes=9 if run.method == "codi" else 4,
        )
        for run in RUNS
    ]  # fmt: skip


def test_the_table_has_costs_next_to_accuracy(tmp_path: Path) -> None:
    found = folders(tmp_path)
    table = Table(None, {"codi": "CODI"}).make(found)
    row = table[(table["method"] == "codi") & (table["seed"] == 1)].iloc[0]
    assert (row["accuracy"], row["mean_forward_passes"], row["mean_operations"]) == (0.94, 9.0, 9000.0)
    assert (row["mean_latents"], row["mean_visible_tokens"]) == (6.0, 4.0)
    assert (row["seconds_per_question"], row["device"], row["batch_size"]) == (0.25, "cpu", 256)
    (found[0] / "times.json").unlink()
    with pytest.raises(UserError, match=r"times\.json: no readable times"):
        Table(None).make(found)


@pytest.mark.parametrize("cost", AXES)
def test_the_figure_draws_each_run_and_the_mean_of_each_method(tmp_path: Path, cost: str) -> None:
    series = {
        "coconut": Series(label="Coconut", look=Look(colour="#2a9d3f", marker="s")),
        "codi": Series(label="CODI", look=Look(colour="#e07b00", marker="^")),
    }
    figure = AccuracyCost(CostSettings(cost=cost), series, {}, "Cost")
    data = figure.read(folders(tmp_path))
    canvas, points = figure.draw(data)
    assert len(points) == 4
    axes = canvas.axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["Coconut", "CODI"]
    means = [line for line in axes.lines if line.get_markersize() > 5]
    expected = data.groupby("method")[[AXES[cost], "accuracy"]].mean()
    drawn = [(line.get_xdata()[0], line.get_ydata()[0]) for line in means]
    assert drawn == [pytest.approx(tuple(row)) for row in expected.itertuples(index=False)]
    assert axes.get_xlabel() == f"{cost.capitalize()} of a response"
    assert isinstance(points, pd.DataFrame)
