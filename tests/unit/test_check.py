"""`make check`: what it refuses and what it says, on real batches."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from thoughtscope.check.inputs import check_access, check_disk, check_figures
from thoughtscope.check.study import LOWER, SHARD, distinct, verdict
from thoughtscope.check.trial import Trial
from thoughtscope.config.load import Study
from thoughtscope.errors import UserError
from thoughtscope.run_id import RunId
from thoughtscope.schemas import STATEMENTS, write

ROOT = Path(__file__).parents[2]
SMOKE: dict[str, Any] = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
TRIAL = Trial("cpu", 10, 10, 7, 300, 0.1, 100, 1000, 0.5, 10)


def check(folder: Path, **changes: Any) -> subprocess.CompletedProcess[str]:
    grid = {"task": "chain", "backbone": ["qwen3", "llama3.2"], "method": "coconut", "seed": [0, 1]}
    raw = {**SMOKE, "runs": [grid], "figures": {}, "probes": {}, **changes}
    (folder / "study.yaml").write_text(yaml.safe_dump(raw))
    command = [sys.executable, "-m", "thoughtscope.cli", "check", "--configfile", str(folder / "study.yaml")]
    return subprocess.run(
        [*command, "--folder", "config", "--results", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_one_batch_of_each_kind_of_run_is_tried_and_what_could_not_start_is_refused(tmp_path: Path) -> None:
    overrides = {
        "backbones": {
            **SMOKE["overrides"].get("backbones", {}),
            "llama3.2": {"config": {"max_position_embeddings": 20}},
        }
    }
    made = check(tmp_path, overrides={**SMOKE["overrides"], **overrides})
    assert made.returncode == 2, made.stderr
    assert "task chain: 200 train, 16 validation, 32 test" in made.stdout
    row = next(line for line in made.stdout.splitlines() if "chain/qwen3/coconut/full" in line)
    assert "fits" in row
    assert " 7 " in row, "a batch with six latents takes seven passes"
    assert "may need" in made.stdout
    assert "4 runs" in made.stdout
    assert "1 kinds refused" in made.stdout


def test_what_does_not_fit_is_told_what_to_lower() -> None:
    assert verdict(TRIAL) == "fits"
    assert verdict(replace(TRIAL, needed=2000)) == LOWER
    assert verdict(replace(TRIAL, needed=2000, parameters=200)) == SHARD


def test_runs_that_differ_in_their_seed_are_tried_once() -> None:
    runs = [RunId("t", "b", method, "full", seed) for method in ("cot", "coconut") for seed in (0, 1)]
    assert distinct(runs) == [runs[0], runs[2]]


def test_a_gated_model_without_a_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thoughtscope.check.inputs.get_token", lambda: None)
    grid = {"task": "chain", "backbone": "llama3.2-1b", "method": "cot"}
    raw = {**SMOKE, "runs": [grid], "figures": {}, "probes": {}}
    study = Study({**raw, "overrides": {}}, ROOT / "config", require_pins=False)
    with pytest.raises(UserError, match="Instruct is gated and there is no token; accept its terms"):
        check_access(study, "llama3.2-1b")


def test_a_figure_of_statements_without_a_displayed_pair_is_refused(tmp_path: Path) -> None:
    study = Study({**SMOKE, "figures": {"f": {"kind": "activity_heatmap"}}}, ROOT / "config")
    (tmp_path / "facts").mkdir()
    texts = dict.fromkeys(("example_id", "subject", "attribute", "question", "response"), "x")
    row = {**texts, "split": "display", "negated": False, "label": 1}
    write(tmp_path / "facts/task.parquet", STATEMENTS, [row])
    with pytest.raises(UserError, match=r"figures\.f\.options: no query has both a false and a true response"):
        check_figures(study, tmp_path)
    write(tmp_path / "facts/task.parquet", STATEMENTS, [row, {**row, "label": 0}])
    check_figures(study, tmp_path)


def test_a_disk_that_is_too_small_is_named(tmp_path: Path) -> None:
    check_disk(tmp_path, 1)
    with pytest.raises(UserError, match="GB are free; make room"):
        check_disk(tmp_path, 1e18)
