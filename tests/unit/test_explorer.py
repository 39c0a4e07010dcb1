"""The page to explore a study: it holds everything it needs, and its numbers are those of the artifacts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import write_run, write_states

from thoughtscope.explorer.curves import accuracy_curves, records
from thoughtscope.explorer.page import page
from thoughtscope.explorer.points import latent_points
from thoughtscope.probes.interventions import EFFECTS, Interventions
from thoughtscope.probes.readouts import READOUTS, Readouts
from thoughtscope.run_id import RunId
from thoughtscope.schemas import write
from workflow.lib.closing import closing

RUNS = [RunId("chain", "qwen3", method, "full", 0) for method in ("coconut", "pause")]
QUESTIONS = [
    {"example_id": f"test-{i:03d}", "question": f"{i} < & </script>", "step_values": ["1", "2"], "answer": "2"}
    for i in range(30)
]


def data(tmp_path: Path, most: int = 1000) -> dict:
    rng = np.random.default_rng(0)
    place = tmp_path / "states"
    states = [write_states(place, run, {k: rng.normal(size=(30, 5)) for k in (1, 2)}) for run in RUNS]
    probes = []
    for kind, table, probe in ((Interventions, EFFECTS, "effects"), (Readouts, READOUTS, "words")):
        place = tmp_path / probe / RUNS[0].path / "tables"
        place.mkdir(parents=True)
        common = {"probe": probe, **RUNS[0].columns, "example_id": "test-000", "latent_index": 1}
        changed = {"intervention": "swap", "donor": "x", "answer": "5", "correct": False, "gold_logprob": -1.0}
        said = {
            "question": "?",
            "step_values": ["1"],
            "readout": "head",
            "layer": 2,
            "rank": 1,
            "token": " 7",
            "score": 0.5,
        }
        row = {**changed, "differs": [1], "follows": [1]} if probe == "effects" else said
        write(place / f"{table}.parquet", kind.schema(table), [common | row])
        probes.append(place.parent)
    runs = [write_run(tmp_path / "runs", RUNS[0], {0: [False, True], 10: [True, True]}, ends=(4,))]
    return {
        "methods": {},
        "latents": latent_points(states, probes, QUESTIONS, most),
        "effects": [],
        "curves": accuracy_curves(runs),
        "surfaces": [],
        "records": [],
    }


def test_every_latent_is_a_point_in_each_place_with_what_is_known_of_it(tmp_path: Path) -> None:
    latents = data(tmp_path)["latents"]
    points = latents["points"]
    assert len(points["run"]) == 2 * 2 * 30
    assert set(points["xyz"]) == {"fed", "layer 2"}
    assert all(len(axis) == 120 for place in points["xyz"].values() for axis in place)
    noted = [notes for notes in points["notes"] if notes]
    assert noted == [
        ["output head: 7 0.50", "exchanged with another question's: answers 5, follows the other's value of step 1"]
    ]
    (one,) = points["explained"]["fed"].values()
    assert 0.5 < one <= 1
    assert latents["questions"][0] == {"text": "0 < & </script>", "steps": "1, 2", "answer": "2"}


def test_distances_between_points_are_those_of_the_projected_vectors(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    flat = np.hstack([rng.normal(size=(30, 3)) * 5, np.zeros((30, 2))])
    folder = write_states(tmp_path, RUNS[0], {1: flat})
    xyz = np.array(latent_points([folder], [], QUESTIONS, 1000)["points"]["xyz"]["fed"], dtype=float).T
    own = np.linalg.norm(flat[:, None] - flat[None], axis=2)
    assert np.abs(np.linalg.norm(xyz[:, None] - xyz[None], axis=2) - own).max() < 0.01


def test_no_more_points_than_wanted_and_as_many_questions_of_each_run(tmp_path: Path) -> None:
    points = data(tmp_path, most=40)["latents"]["points"]
    assert pd.Series(points["run"]).value_counts().tolist() == [20, 20]


def test_the_page_is_one_file_that_loads_nothing_and_holds_its_data(tmp_path: Path) -> None:
    found = data(tmp_path)
    html = page(found)
    assert len(html) < 15e6
    assert not re.findall(
        r"<(?:script|link|img|iframe)[^>]+(?:src|href)\s*=", html.split('<script type="application/json"')[0]
    )
    (inside,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert json.loads(inside) == json.loads(json.dumps(found))
    assert "@DATA@" not in html


def test_curves_have_their_stages(tmp_path: Path) -> None:
    (one,) = data(tmp_path)["curves"]
    assert (one["step"], one["accuracy"]) == ([0, 10], [0.5, 1.0])
    assert [stage["last_step"] for stage in one["stages"]] == [4, 10]


def test_records_name_inputs_and_caption(tmp_path: Path) -> None:
    file = tmp_path / "figures/latent_effects.provenance.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"settings": {"kind": "latent_effects"}, "inputs": {"a": "b"}, "finished": "now"}))
    (one,) = records([file])
    assert (one["group"], one["name"], one["record"]["inputs"]) == ("figures", "latent_effects", {"a": "b"})
    assert one["caption"].startswith("What single latents do.")


def test_a_run_ends_with_its_main_numbers_and_where_to_look(tmp_path: Path) -> None:
    tables = tmp_path / "tables"
    tables.mkdir()
    pd.DataFrame({"label": ["A", "A", "B"], "accuracy": [1, 0.5, 0.25]}).to_csv(tables / "summary.csv")
    pd.DataFrame({"passes_null": [True, False, None]}).to_csv(tables / "probes.csv")
    pd.DataFrame(
        {"label": "A", "intervention": "swap", "latent_index": [1, 2], "donor_low": [0.9, 0], "change_low": [-1, -0.01]}
    ).to_csv(tables / "interventions.csv")
    (tmp_path / "explore.html").write_text("")
    lines = closing(tmp_path)
    assert len(lines) == 5
    assert lines[0].startswith("accuracy A 0.75, B 0.25 (3 runs")
    assert lines[1].endswith("A: answers follow 1, 2 inert")
    assert lines[2].startswith("probes   1 of 2 tests pass")
    assert "report.html" in lines[3]
    assert "explore.html" in lines[4]
    (tables / "interventions.csv").unlink()
    assert len(closing(tmp_path)) == 4


@pytest.mark.parametrize("part", ["page.js", "page.css", "page.html"])
def test_the_parts_of_the_page_name_no_address(part: str) -> None:
    folder = Path(latent_points.__code__.co_filename).parent
    assert "http" not in (folder / part).read_text().replace("http-equiv", "")
