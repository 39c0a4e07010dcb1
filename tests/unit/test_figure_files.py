"""The files of a figure: equal when drawn again, without dates, with provenance, made from folders by the program."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from figure_data import (
    BACKBONE_SERIES,
    LINE_SERIES,
    METHOD_SERIES,
    METHODS,
    accuracy,
    activity,
    effects,
    evidence,
    latents,
    said,
)
from matplotlib.image import imread
from PIL import Image
from synthetic import write_states

from thoughtscope import schemas
from thoughtscope.errors import UserError
from thoughtscope.figures.base import Figure
from thoughtscope.figures.latent_scatter import LatentScatter
from thoughtscope.figures.save import SUFFIXES, save
from thoughtscope.figures.scatter import Latents
from thoughtscope.probes.truth_direction import TruthDirection
from thoughtscope.run_id import RunId

KINDS = Figure.all()
TOLD = {"stage": "draw_figure", "settings": {"kind": "any", "title": "ä"}}
PROVENANCE = {**TOLD, "started": "2026-01-01", "hardware": {}}


def drawn(kind):
    """Return figure and points of a kind, from small tables."""
    figure = KINDS[kind]
    reach = dict.fromkeys(METHODS, 10)
    series = {"methods": METHOD_SERIES, "backbones": BACKBONE_SERIES, "lines": LINE_SERIES, None: None}[figure.SERIES]
    data = {
        "hidden_states": lambda: Latents(
            *latents(reach, (1, 3, 4, 6), (1, 2, 3, 4)), reach, {method: [1, 2, 3, 4] for method in METHODS}
        ),
        "runs": lambda: accuracy(RunId("chain", "qwen3", "coconut", "full", 0), [0.2, 0.4, 0.8]),
        "probes": activity,
    }
    own = {
        "latent_effects": effects,
        "latent_readouts": lambda: pd.DataFrame(said()),
        "read_and_used": lambda: dict(zip(("evidence", "effects"), evidence(), strict=True)),
    }
    settings = {"points": {"coconut": {"alpha": "0.6"}}} if kind == "sweep" else {}
    return figure(figure.Settings(**settings), series, METHODS).draw(own.get(kind, data[figure.READS])())


def write(kind, folder: Path) -> dict[str, Path]:
    folder.mkdir()
    targets = {suffix: folder / f"figure{suffix}" for suffix in SUFFIXES}
    save(*drawn(kind), targets.values(), PROVENANCE)
    return targets


@pytest.fixture(scope="module", params=list(KINDS))
def written(request, tmp_path_factory):
    """Return a kind and its files."""
    return request.param, write(request.param, tmp_path_factory.mktemp("figures") / request.param)


def test_a_figure_drawn_again_has_equal_pixels_and_equal_bytes(written, tmp_path):
    kind, first = written
    second = write(kind, tmp_path / "again")
    np.testing.assert_array_equal(imread(first[".png"]), imread(second[".png"]))
    for suffix in SUFFIXES:
        assert first[suffix].read_bytes() == second[suffix].read_bytes(), suffix


@pytest.mark.parametrize("kind", ["accuracy_backbones", "activity_heatmap"])
def test_the_users_own_matplotlib_settings_change_nothing(kind, tmp_path):
    plain = write(kind, tmp_path / "plain")
    with mpl.rc_context({"font.size": 20, "lines.linewidth": 9, "axes.facecolor": "black", "savefig.dpi": 50}):
        other = write(kind, tmp_path / "other")
    np.testing.assert_array_equal(imread(plain[".png"]), imread(other[".png"]))


def test_every_picture_carries_its_provenance_and_none_a_date(tmp_path):
    files = write("accuracy_backbones", tmp_path / "figure")
    document = files[".pdf"].read_bytes()
    subject = re.search(rb"/Subject \((.*?)(?<!\\)\)", document, re.DOTALL)
    description = re.search(r"<dc:description>(.*?)</dc:description>", files[".svg"].read_text(), re.DOTALL)
    assert json.loads(Image.open(files[".png"]).text["Description"]) == TOLD
    assert json.loads(subject[1].replace(rb"\\", b"\\")) == TOLD
    assert json.loads(description[1].replace("&quot;", '"')) == TOLD
    assert b"/CreationDate" not in document
    assert "<dc:date>" not in files[".svg"].read_text()


def test_the_csv_holds_the_points(written):
    kind, files = written
    _, points = drawn(kind)
    read = pd.read_csv(files[".csv"])
    assert list(read.columns) == list(points.columns)
    rng = points.select_dtypes("number").astype(float)
    np.testing.assert_allclose(read[rng.columns].astype(float), rng, rtol=1e-5, atol=1e-9)


def test_nothing_is_cut_off_at_the_edge_of_the_picture(written):
    pixels = imread(written[1][".png"])[..., :3]
    for edge in (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:]):
        assert edge.min() == 1.0, "something that is not white touches the edge"


def test_a_picture_of_another_form_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"\.gif"):
        save(*drawn("accuracy_backbones"), [tmp_path / "figure.gif"], PROVENANCE)


def test_two_runs_of_one_method_are_refused(tmp_path):
    folders = [write_latents(tmp_path, "coconut", seed) for seed in (0, 1)]
    with pytest.raises(UserError, match="several runs of coconut"):
        LatentScatter(LatentScatter.Settings(), METHOD_SERIES).read(folders)


def write_latents(root: Path, method: str, seed: int = 0) -> Path:
    """Write hidden states of 60 questions with six latents, and two text tokens that must not be drawn."""
    rng = np.random.default_rng(len(method))
    found = {step: rng.normal(size=(60, 4)) for step in range(1, 7)}
    run = RunId("chain", "qwen3", method, "full", seed)
    folder = write_states(root / "hidden_states", run, found, text=rng.normal(size=(60, 2, 4)))
    (folder / "manifest.json").write_text("{}")
    return folder


def run_program(folders, kind, stem):
    series = [[name, one.model_dump()] for name, one in METHOD_SERIES.items()]
    settings = {"kind": kind, "title": "标题: latents", "settings": {}, "series": series, "methods": []}
    program = Path(__file__).parents[2] / "workflow/scripts/draw_figure.py"
    command = [sys.executable, program, "--figure", "x", "--settings", json.dumps(settings), "--output-stem", stem]
    return subprocess.run([*command, "--inputs", *folders], capture_output=True, text=True, check=False)


def test_the_program_draws_scatters_from_hidden_state_folders(tmp_path):
    folders = [write_latents(tmp_path, method) for method in METHODS]
    done = run_program(folders, "latent_scatter", tmp_path / "figures" / "latent.scatter")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        *(f"latent.scatter{suffix}" for suffix in SUFFIXES),
        "latent.scatter.provenance.json",
    }
    points = pd.read_csv(tmp_path / "figures/latent.scatter.csv")
    assert len(points) == 3 * 4 * 60
    assert set(points["label"]) == set(METHODS.values())
    assert "Glyph" not in done.stderr, "a box is drawn"


def test_the_program_draws_activity_from_a_probe_and_says_what_is_missing(tmp_path):
    rows, probe = activity(), tmp_path / "probes/truth/facts/qwen3"
    (probe / "tables").mkdir(parents=True)
    (probe / "manifest.json").write_text("{}")
    missing = run_program([probe], "activity_surface", tmp_path / "other")
    assert missing.returncode == 2
    assert "tables/activity.parquet: no such table" in missing.stderr
    assert not list(tmp_path.glob("*other*"))
    table = TruthDirection.schema("activity")
    schemas.write(probe / "tables/activity.parquet", table, rows.to_dict("records"))
    done = run_program([probe], "activity_surface", tmp_path / "figure")
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(tmp_path / "figure.csv")) == (rows["fitted_on"] == "tokens").sum()


def test_one_other_number_gives_other_pixels(tmp_path):
    pictures = []
    for last in (0.8, 0.81):
        rows = accuracy(RunId("chain", "qwen3", "coconut", "full", 0), [0.2, 0.4, last])
        kind = KINDS["accuracy_backbones"]
        save(*kind(kind.Settings(), BACKBONE_SERIES).draw(rows), [tmp_path / "one.png"], {})
        pictures.append(imread(tmp_path / "one.png"))
    assert (pictures[0] != pictures[1]).any()
