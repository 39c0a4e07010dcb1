"""What is made twice is the same, what is made anew with equal content stops there, what is packed can be redrawn."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from tests.workflow.conftest import Workspace, copy_of, make_workspace, upkeep
from tests.workflow.desk import Desk
from tests.workflow.dry_runs import CONFIG, jobs
from thoughtscope.artifacts import sha256
from thoughtscope.upkeep.compare import differences, pixels

pytestmark = pytest.mark.slow
SMOKE = ("--cores", "1", "--configfile", CONFIG)
STATES = "results/hidden_states/chain/qwen3/coconut/live/seed0/manifest.json"
PICTURE = "results/figures/latent_scatter.png"


def test_the_same_config_in_two_folders_gives_the_same_tables_figures_and_weights(
    smoke: Workspace, tmp_path: Path
) -> None:
    """One run and one figure of it, so that it takes a minute: what is compared is all that stands in both folders."""
    first, second = copy_of(smoke, tmp_path / "first"), make_workspace(tmp_path / "second")
    for workspace in (first, second):
        desk = Desk(workspace.folder)
        desk.replace(CONFIG, "method: [lt-tuning, coconut]", "method: coconut")
        workspace.snakemake(PICTURE, "results/tables/probes.csv", *SMOKE)
    told = list(differences(first.folder / "results", second.folder / "results"))
    assert all(f": only in {first.folder}" in line for line in told), told
    both = {path.relative_to(second.folder) for path in second.folder.rglob("*.safetensors")}
    assert len(both) == 6  # a backbone, a run and four of its checkpoints
    Desk(second.folder).flip("results/tables/probes.csv")
    told = list(differences(first.folder / "results", second.folder / "results"))
    assert any(line.startswith("tables/probes: probes.csv: ") for line in told)


def test_a_task_made_anew_with_equal_content_makes_nothing_else_anew(smoke: Workspace, tmp_path: Path) -> None:
    copy = copy_of(smoke, tmp_path / "copy")
    Desk(copy.folder).append("src/thoughtscope/tasks/chain.py", "\nADDED = 1\n")
    assert {job.column for job in jobs(copy.snakemake("-n", "--configfile", CONFIG).stdout)} >= {"task", "train"}
    copy.snakemake(*SMOKE, "--no-hooks", "--until", "prepare_task")
    assert jobs(copy.snakemake("-n", "--configfile", CONFIG).stdout) == set()


@pytest.fixture(scope="module")
def source(smoke: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A finished study with its code."""
    return copy_of(smoke, tmp_path_factory.mktemp("archive") / "source")


def unpack(source: Workspace, folder: Path, *options: str) -> Workspace:
    """Pack a study and unpack it elsewhere."""
    done = upkeep(source.folder, "archive", "--configfile", CONFIG, "--output", "study.tar.gz", *options)
    assert done.returncode == 0, done.stderr
    with tarfile.open(source.folder / "study.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return Workspace(folder / "study")


def test_figures_are_redrawn_from_an_archive_without_training(source: Workspace, tmp_path: Path) -> None:
    there = unpack(source, tmp_path)
    assert not list(there.folder.rglob("*.safetensors"))
    assert len(json.loads((there.folder / "results/left_out.json").read_text())) == 8  # backbones and runs
    assert jobs(there.snakemake("-n", "--configfile", CONFIG).stdout) == set()
    assert upkeep(there.folder, "verify").returncode == 0
    before = pixels(there.folder / PICTURE)
    (there.folder / PICTURE).unlink()
    said = there.snakemake(*SMOKE, "--no-hooks").stdout
    assert {(job.column, job.name) for job in jobs(said)} == {("figure", "latent_scatter")}
    assert pixels(there.folder / PICTURE) == before


def test_any_stage_is_regenerated_from_an_archive_with_models(source: Workspace, tmp_path: Path) -> None:
    there = unpack(source, tmp_path, "--models")
    before = sha256(there.folder / STATES)
    there.snakemake(*SMOKE, "--no-hooks", "--force", STATES)
    assert sha256(there.folder / STATES) == before


def test_an_unfinished_study_is_not_packed(source: Workspace) -> None:
    desk = Desk(source.folder)
    desk.delete("results/figures/latent_scatter.svg")
    done = upkeep(source.folder, "archive", "--configfile", CONFIG)
    desk.put_back()
    assert done.returncode == 2
    words = "latent_scatter.svg is missing; run the workflow to its end first: make run"
    assert done.stderr.splitlines() == [f"error: results/figures/latent_scatter: {words}"]
