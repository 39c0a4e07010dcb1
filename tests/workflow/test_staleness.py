"""What reruns after an edit, asked of real Snakemake on the finished smoke run."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
import yaml

from .conftest import Workspace

pytestmark = pytest.mark.slow
NOTHING: set[str] = set()


def stale(workspace: Workspace) -> set[str]:
    """Return the rules that Snakemake would run now."""
    said = workspace.snakemake("-n", "--configfile", "config/smoke.yaml").stdout
    table = said.partition("Job stats:")[2].partition("Reasons:")[0]
    return set(re.findall(r"^(\w+)\s+\d+$", table, re.M)) - {"all", "total"}


@pytest.fixture
def finished(smoke: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the finished smoke run that a test may edit."""
    copy = tmp_path / "copy"
    shutil.copytree(smoke.folder, copy, symlinks=True)
    return Workspace(copy)


def change(workspace: Workspace, path: str, *keys: str, value: object) -> None:
    file = workspace.folder / path
    raw = yaml.safe_load(file.read_text())
    inner = raw
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    file.write_text(yaml.safe_dump(raw, sort_keys=True))


def test_after_a_finished_run_nothing_is_stale(finished: Workspace) -> None:
    assert stale(finished) == NOTHING


def test_touching_everything_makes_nothing_stale(finished: Workspace) -> None:
    for path in finished.folder.rglob("*"):
        if path.is_file() and ".snakemake" not in path.parts:
            os.utime(path)
    assert stale(finished) == NOTHING


def test_reordering_keys_and_dropping_comments_makes_nothing_stale(finished: Workspace) -> None:
    change(finished, "config/tasks/chain.yaml", "seed", value=0)
    change(finished, "config/methods/coconut.yaml", "kind", value="step-removal")
    assert stale(finished) == NOTHING


def test_a_comment_in_a_program_makes_nothing_stale(finished: Workspace) -> None:
    program = finished.folder / "workflow/scripts/train.py"
    program.write_text(program.read_text() + "\n# a remark\n")
    assert stale(finished) == NOTHING


def test_a_change_of_code_in_a_program_makes_its_stage_stale(finished: Workspace) -> None:
    program = finished.folder / "workflow/scripts/draw_figure.py"
    program.write_text(program.read_text() + "\nANSWER = 42\n")
    assert stale(finished) == {"figure"}


def test_a_figures_title_redraws_that_figure_only(finished: Workspace) -> None:
    change(finished, "config/smoke.yaml", "figures", "accuracy_backbones", "title", value="Other")
    said = finished.snakemake("-n", "--configfile", "config/smoke.yaml").stdout
    assert stale(finished) == {"figure"}
    assert re.search(r"figure\s+1\n", said)


def test_a_methods_setting_retrains_its_runs_and_those_that_follow_it(finished: Workspace) -> None:
    change(finished, "config/methods/lt-tuning.yaml", "label_latents", value=False)
    said = finished.snakemake("-n", "--configfile", "config/smoke.yaml").stdout
    assert re.search(r"train\s+1\n", said)
    assert not re.search(r"build_backbone\s+\d", said)


def test_a_pin_makes_the_stages_stale_that_it_can_change(finished: Workspace) -> None:
    lock = finished.folder / "envs/requirements.lock"
    lock.write_text(lock.read_text().replace("matplotlib==", "matplotlib==9"))
    assert stale(finished) == {"figure"}


def test_a_tables_own_setting_reaches_no_model(finished: Workspace) -> None:
    change(finished, "config/smoke.yaml", "latent_probes", "permutations", value=3)
    assert stale(finished) == {"fit_latent_probes", "table"}


def test_a_deleted_artifact_is_made_again(finished: Workspace) -> None:
    (finished.folder / "results/figures/latent_scatter.svg").unlink()
    assert stale(finished) == {"figure"}
