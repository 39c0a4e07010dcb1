"""Hub ids are pinned to commits and loaded from a hub over real HTTP; what it refuses is one line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.folders import make_folder
from tests.hub import COMMIT, Shelf, hub
from thoughtscope.config.load import Study
from thoughtscope.config.revisions import LOCK
from thoughtscope.errors import UserError
from thoughtscope.parsing import merge, parse
from thoughtscope.settings import Hosted, Strict, collect
from thoughtscope.tasks.reading import Source
from workflow.lib import study_rules

ROOT = Path(__file__).parents[2]
SMOKE: dict[str, Any] = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
OTHER = "0" * 40


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    folder = make_folder("qwen3-4b", tmp_path_factory.mktemp("made"), ["3 * 2 + 4 ="])
    names = ("models/Qwen/Qwen3-4B", "models/meta-llama/Llama-3.2-1B-Instruct", "datasets/made/questions")
    return Shelf(dict.fromkeys(names, folder), {"models/meta-llama/Llama-3.2-1B-Instruct"})


@pytest.fixture(scope="module")
def endpoint(shelf: Shelf) -> Iterator[str]:
    with hub(shelf) as address:
        yield address


@pytest.fixture
def config(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "config" / LOCK).unlink(missing_ok=True)
    write_study(tmp_path / "config", ["qwen3-4b"])
    return tmp_path / "config"


def write_study(config: Path, backbones: list[str]) -> dict[str, Any]:
    raw = {**SMOKE, "runs": [{"task": "chain", "backbone": backbones, "method": "cot"}], "figures": {}}
    raw["probes"] = {}
    (config / "own.yaml").write_text(yaml.safe_dump(raw))
    return raw


def environment(endpoint: str, home: Path) -> dict[str, str]:
    ours = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "OMP_NUM_THREADS": "1"}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_") and "proxy" not in key.lower()}
    return {**kept, **ours}


def pin(config: Path, endpoint: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "thoughtscope.cli", "pin", "--configfile", "config/own.yaml"],
        cwd=config.parent, env=environment(endpoint, config.parent / "home"),
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_a_hub_id_without_a_commit_is_refused_until_it_is_pinned(config: Path, endpoint: str) -> None:
    raw = write_study(config, ["qwen3-4b", "llama3.2-1b"])
    with pytest.raises(UserError) as caught:
        Study(raw, config, "config/own.yaml")
    message = str(caught.value)
    assert "\n" not in message
    for part in ("llama3.2-1b.yaml: revision", "not pinned", LOCK, "run make pin CONFIG=config/own.yaml"):
        assert part in message
    done = pin(config, endpoint)
    assert done.returncode == 0, done.stderr
    assert f"Qwen/Qwen3-4B  {COMMIT}\n" in done.stdout
    assert "gated: accept its terms" in done.stdout
    study = Study(raw, config, "config/own.yaml")
    assert study.backbone("qwen3-4b").revision == COMMIT
    assert study_rules.build_backbone(study, "llama3.2-1b", "given")["backbone"]["revision"] == COMMIT


def test_what_is_pinned_stays_and_a_revision_of_its_own_wins(config: Path, endpoint: str) -> None:
    (config / LOCK).write_text(yaml.safe_dump({"models": {"Qwen/Qwen3-4B": OTHER}}))
    assert pin(config, endpoint).returncode == 0
    assert yaml.safe_load((config / LOCK).read_text())["models"] == {"Qwen/Qwen3-4B": OTHER}
    raw = yaml.safe_load((config / "own.yaml").read_text())
    assert Study(raw, config).backbone("qwen3-4b").revision == OTHER
    own = merge(raw, {"overrides": {"backbones": {"qwen3-4b": {"revision": "1" * 40}}}})
    assert Study(own, config).backbone("qwen3-4b").revision == "1" * 40
    with pytest.raises(UserError, match="revision"):
        Study(merge(raw, {"overrides": {"backbones": {"qwen3-4b": {"revision": "main"}}}}), config)


def test_what_was_fetched_loads_without_a_network(config: Path, endpoint: str) -> None:
    assert pin(config, endpoint).returncode == 0
    home = config.parent / "home"
    command = [sys.executable, "-m", "thoughtscope.cli", "fetch", "--configfile", "config/own.yaml"]
    common = {"cwd": config.parent, "capture_output": True, "text": True, "timeout": 120}
    done = subprocess.run(command, env=environment(endpoint, home), **common)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    assert "Qwen/Qwen3-4B: 0.0 GB" in done.stdout
    alone = {**environment("http://127.0.0.1:9", home), "HF_HUB_OFFLINE": "1"}
    wanted = json.dumps([["Qwen/Qwen3-4B", COMMIT], ["made/never-fetched", COMMIT]])
    loaded = subprocess.run([sys.executable, "-c", LOAD, wanted], env=alone, **common)  # type: ignore[call-overload]
    said = results(loaded.stdout)
    assert said[0] == "loaded", loaded.stderr[-2000:]
    assert "made/never-fetched is not in the cache and the hub cannot be reached; connect" in said[1]
    assert "make fetch" in said[1]


class Many(Strict):
    """Settings of a task that names datasets in a field, in a list and in a mapping of lists."""

    one: Source
    several: list[Source]
    named: dict[str, list[Source]]


def test_datasets_are_found_and_pinned_wherever_settings_hold_them() -> None:
    raw = {"one": {"hub_id": "a/b"}, "several": [{"hub_id": "c/d"}, {"path": "e"}], "named": {"x": [{"hub_id": "f/g"}]}}
    commits = {"a/b": COMMIT, "f/g": OTHER}
    found = {one.hub_id: one.revision for one in collect(parse(Many, raw, "task", commits), Hosted)}
    assert found == {"a/b": COMMIT, "c/d": None, None: None, "f/g": OTHER}


def test_pinning_a_missing_model_or_without_a_network_is_one_line(config: Path, endpoint: str) -> None:
    small = config / "backbones/qwen3-4b.yaml"
    small.write_text(small.read_text().replace("Qwen/Qwen3-4B", "nobody/nothing"))
    done = pin(config, endpoint)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "qwen3-4b.yaml: hub_id: there is no nobody/nothing, or it is private; correct hub_id" in done.stderr
    done = pin(config, "http://127.0.0.1:9")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "nobody/nothing is not in the cache and the hub cannot be reached; connect" in done.stderr
    assert not (config / LOCK).exists()


LOAD = """
import json, sys, tempfile
from pathlib import Path
from thoughtscope.backbones.make import refer
from thoughtscope.backbones.settings import Settings
from thoughtscope.errors import UserError
for hub_id, revision in json.loads(sys.argv[1]):
    settings = Settings(source="hub", label="", hub_id=hub_id, revision=revision)
    try:
        refer(settings, Path(tempfile.mkdtemp()))
        print("RESULT loaded")
    except UserError as error:
        print("RESULT", error)
"""


def results(standard_output: str) -> list[str]:
    """What LOAD found of each model, without the progress that is printed between."""
    return [line.removeprefix("RESULT ") for line in standard_output.splitlines() if line.startswith("RESULT ")]


def test_a_model_is_loaded_at_its_commit_and_every_refusal_is_one_line(
    endpoint: str, shelf: Shelf, tmp_path: Path
) -> None:
    llama, qwen, none = "meta-llama/Llama-3.2-1B-Instruct", "Qwen/Qwen3-4B", "nobody/nothing"
    wanted = [[qwen, COMMIT], [llama, COMMIT], [none, COMMIT], [qwen, OTHER], ["a/b/c", COMMIT]]
    shelf.asked.clear()
    done = subprocess.run(
        [sys.executable, "-c", LOAD, json.dumps(wanted)],
        env=environment(endpoint, tmp_path), capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert results(done.stdout) == [
        "loaded",
        f"hub_id {llama}: {llama} is gated; accept its terms on huggingface.co/{llama} and log in (hf auth login)",
        f"hub_id {none}: there is no {none}, or it is private; correct hub_id, or log in (hf auth login)",
        f"hub_id {qwen}: {qwen} has no revision {OTHER}; remove its line from the lock and run make pin, or correct it",
        "hub_id a/b/c: 'a/b/c' is no hub id; write owner/name",
    ]
    assert any(f"{qwen}/resolve/{COMMIT}/model-00001-of" in path for path in shelf.asked)


def test_a_gated_backbone_ends_its_stage_in_one_line_and_leaves_nothing(endpoint: str, tmp_path: Path) -> None:
    settings = {"source": "hub", "hub_id": "meta-llama/Llama-3.2-1B-Instruct", "revision": COMMIT}
    done = subprocess.run(
        [sys.executable, str(ROOT / "workflow/scripts/build_backbone.py"), "--backbone", "llama", "--settings",
         json.dumps({"backbone": settings}), "--output", str(tmp_path / "out")],
        env=environment(endpoint, tmp_path), capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: hub_id meta-llama/Llama-3.2-1B-Instruct: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
