"""What is made twice is the same, what is made anew with equal content stops there, what is packed can be redrawn."""

from __future__ import annotations

import json
import os
import tarfile
from itertools import permutations
from pathlib import Path

import pytest

from tests.workflow.conftest import Workspace, copy_of, make_workspace, upkeep
from tests.workflow.desk import Desk
from tests.workflow.dry_runs import CONFIG, jobs
from thoughtscope.artifacts import sha256
from thoughtscope.plugins import LATENTS
from thoughtscope.provenance import BESIDE
from thoughtscope.upkeep.compare import differences, pixels

pytestmark = pytest.mark.slow
SMOKE = ("--cores", "1", "--configfile", CONFIG)
COCONUT, COT, STATEMENTS = (
    f"{path}/live/seed0" for path in ("chain/qwen3/coconut", "chain/qwen3/cot", "facts/qwen3/none")
)
STATES = f"results/hidden_states/{COCONUT}/manifest.json"
PICTURE = "results/figures/latent_scatter.png"
TRACER = Path(__file__).parent / "tracer"


@pytest.fixture(scope="module")
def twice(smoke: Workspace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Workspace]:
    """The finished smoke run, and another folder in which two of its runs and one figure were made from nothing.

    Each process of the second noted which modules it had loaded.
    """
    folder = tmp_path_factory.mktemp("twice")
    first, second = copy_of(smoke, folder / "first"), make_workspace(folder / "second")
    (second.folder / "traced").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for workspace in (first, second):
            Desk(workspace.folder).replace(CONFIG, "method: [lt-tuning, coconut]", "method: coconut")
            workspace.snakemake(
                PICTURE, "results/tables/probes.csv", f"results/runs/{COT}/manifest.json", *SMOKE, "--no-hooks"
            )
            patch.setenv("TRACED_IMPORTS", str(second.folder / "traced"))
            patch.setenv("PYTHONPATH", os.pathsep.join([str(TRACER), os.environ.get("PYTHONPATH", "")]))
    return first, second


def test_the_same_config_in_two_folders_gives_the_same_tables_figures_and_weights(
    twice: tuple[Workspace, Workspace],
) -> None:
    first, second = twice
    told = list(differences(first.folder / "results", second.folder / "results"))
    assert all(f": only in {first.folder}" in line for line in told), told
    both = {path.relative_to(second.folder) for path in second.folder.rglob("*.safetensors")}
    assert len(both) == 7  # a backbone, two runs and four checkpoints of one
    Desk(second.folder).flip("results/tables/probes.csv")
    told = list(differences(first.folder / "results", second.folder / "results"))
    assert any(line.startswith("tables/probes: probes.csv: ") for line in told)


@pytest.mark.parametrize(
    ("program", "artifacts"),
    [
        ("prepare_task.py", ["tasks/chain/", "tasks/facts/"]),
        ("build_backbone.py", ["backbones/qwen3/"]),
        ("worker.py", [f"runs/{COCONUT}/", f"runs/{COT}/"]),
        ("extract_hidden_states.py", [f"hidden_states/{COCONUT}/", f"hidden_states/{STATEMENTS}/"]),
        ("fit_latent_probes.py", [f"probes/{COCONUT}/"]),
        ("fit_truth_probes.py", [f"probes/{STATEMENTS}/"]),
        ("make_table.py", ["tables/probes."]),
        ("draw_figure.py", ["figures/latent_scatter."]),
    ],
)
def test_a_stage_loads_only_sources_that_its_digest_holds(
    twice: tuple[Workspace, Workspace], program: str, artifacts: list[str]
) -> None:
    folder = twice[1].folder
    records = [json.loads((folder / f"results/{one}provenance.json").read_text()) for one in artifacts]
    held = [BESIDE | record["sources"].keys() for record in records]
    notes = [json.loads(path.read_text()) for path in (folder / "traced").glob("*.json")]
    loaded = [
        {name.removeprefix("thoughtscope.") for name in note["loaded"]} for note in notes if note["program"] == program
    ]
    assert len(loaded) == len(held)
    assert any(all(one <= own for one, own in zip(order, held, strict=True)) for order in permutations(loaded))
    if program == "worker.py":
        assert sum(LATENTS.removeprefix("thoughtscope.") in one for one in loaded) == 1, "cot has no latents"


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


MINE = """
kind: table
hold_out: 1
splits: {train: {path: data/train.jsonl}, test: {path: "data/te*.jsonl"}}
"""


def test_a_local_data_file_is_read_anew_when_its_content_changes(workspace: Workspace) -> None:
    desk, task = Desk(workspace.folder), "results/tasks/mine/manifest.json"
    desk.write("config/tasks/mine.yaml", MINE)
    rows = [json.dumps({"question": f"{i} + 1?", "steps": [f"{i + 1}"], "answer": f"{i + 1}"}) for i in range(6)]
    desk.write("data/train.jsonl", "\n".join(rows[:4]))
    desk.write("data/test.jsonl", "\n".join(rows[4:]))
    workspace.snakemake(task, *SMOKE, "--no-hooks")
    desk.write("data/test.jsonl", "\n".join(rows[4:]))
    assert jobs(workspace.snakemake("-n", task, *SMOKE).stdout) == set()
    desk.write("data/test.jsonl", "\n".join(rows[3:]))
    (job,) = jobs(workspace.snakemake("-n", task, *SMOKE).stdout)
    assert (job.column, job.reason) == ("task", "Updated input files")


def test_tasks_and_tiny_backbones_are_shared_between_studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THOUGHTSCOPE_CACHE", str(tmp_path / "cache"))
    first, second = make_workspace(tmp_path / "first"), make_workspace(tmp_path / "second")
    backbone = "results/backbones/qwen3/seed0"
    for workspace in (first, second):
        workspace.snakemake(f"{backbone}/manifest.json", *SMOKE, "--no-hooks")
    said = {path.stem: path.read_text() for path in (second.folder / "results/logs").rglob("*.log")}
    assert "task chain: taken from the cache" in said["chain"]
    assert "backbone qwen3: taken from the cache" in said["seed0"]
    assert "cache" not in (first.folder / "results/logs/tasks/chain.log").read_text()
    assert list(differences(first.folder / "results", second.folder / "results")) == []
    Desk(tmp_path).flip(next((tmp_path / "cache/prepare_task").rglob("task.parquet")).relative_to(tmp_path).as_posix())
    (second.folder / "results/tasks/chain/manifest.json").unlink()
    second.snakemake("results/tasks/chain/manifest.json", *SMOKE, "--no-hooks")
    assert "cache" not in (second.folder / "results/logs/tasks/chain.log").read_text(), "what was damaged is not taken"
    assert list(differences(first.folder / "results", second.folder / "results")) == []
