"""The plug-ins of `docs/extending.md`, exactly as they are written there, go through the whole workflow."""

from __future__ import annotations

import json
import re
import shutil
from typing import Any

import pandas as pd
import pytest
import yaml
from PIL import Image

from thoughtscope.parsing import merge

from .conftest import ROOT, Workspace, make_workspace

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs/extending.md").read_text()
FILES = dict(re.findall(r"^```\w+\n# ((?:src|config)/\S+)\n(.*?)^```$", PAGE, re.M | re.S))
ENTRIES = re.findall(r"^```yaml\n# in the main file\n(.*?)^```$", PAGE, re.M | re.S)
MODULES = [name for name in FILES if name.endswith(".py")]
TINY: dict[str, Any] = {
    "runs": [],
    "training": {"updates": 6, "batch_size": 8, "keep_checkpoints": [1.0]},
    "evaluation": {"every": 6, "validation_examples": 4, "max_new_tokens": 8},
    "pretraining": {"tasks": [], "updates": 2},
    "hidden_states": {"examples": 16},
    "probes": None,
    "figures": None,
    "overrides": None,
}


def study() -> dict[str, Any]:
    """Return the smoke config at its smallest, with every entry of the page."""
    smoke = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    raw = {key: value for key, value in merge(smoke, TINY).items() if value is not None}
    runs: list[Any] = []
    for entry in map(yaml.safe_load, ENTRIES):
        runs += entry.get("runs", [])
        raw = merge(raw, entry)
    return {"figures": {}, **raw, "runs": runs}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a library of its own, in which the page's files stand and its study has run."""
    workspace = make_workspace(tmp_path_factory.mktemp("extending"))
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", workspace.folder / "src", ignore=ignored)
    for name, text in FILES.items():
        (workspace.folder / name).write_text(text)
    (workspace.folder / "config/extended.yaml").write_text(yaml.safe_dump(study()))
    workspace.snakemake("--cores", "2", "--configfile", "config/extended.yaml")
    return workspace


def test_the_page_shows_a_module_of_each_kind() -> None:
    assert {name.split("/")[2] for name in MODULES} >= {"tasks", "probes", "tables", "figures"}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_of_the_page_decides_a_result(finished: Workspace, name: str) -> None:
    records = (finished.folder / "results").rglob("*provenance.json")
    module = name.removeprefix("src/thoughtscope/").removesuffix(".py").replace("/", ".")
    assert any(module in json.loads(path.read_text())["sources"] for path in records)


def test_the_results_of_the_page_are_there(finished: Workspace) -> None:
    results = finished.folder / "results"
    cost = pd.read_csv(results / "tables/cost.csv")
    assert set(cost["task"]) == {"parity"}
    assert cost["mean_forward_passes"].gt(1).all()
    row = pd.read_csv(results / "tables/probes.csv").set_index("probe").loc["first_step"]
    assert (row["n"], row["measure"]) == (8, "accuracy")
    assert row["ci_low"] <= row["value"] <= row["ci_high"]
    with Image.open(results / "figures/first_step.png") as image:
        assert len(image.convert("RGB").getcolors(maxcolors=2**24) or []) > 20
    assert pd.read_csv(results / "figures/first_step.csv")["value"].item() == pytest.approx(row["value"], rel=1e-5)
    report = (results / "report.html").read_text()
    assert "by the nearest class mean" not in report
    assert "the serial forward passes of a response." in report
