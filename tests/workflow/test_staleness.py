"""What reruns after an edit, asked of real Snakemake on the finished smoke run; the rows stand in `edits`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workflow.conftest import Workspace, copy_of, upkeep
from tests.workflow.desk import Desk
from tests.workflow.dry_runs import COLUMNS, CONFIG, DryRuns, Job, jobs
from tests.workflow.edits import COMMAND, EDITS
from tests.workflow.matrix import PAGE, Edit, with_table

pytestmark = pytest.mark.slow
NOT_MADE = ["not made yet"]


@pytest.fixture(scope="module")
def desk(smoke: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A copy of the finished smoke run whose edits are taken back."""
    return Desk(copy_of(smoke, tmp_path_factory.mktemp("staleness") / "copy").folder)


@pytest.fixture(scope="module")
def dry_runs(desk: Desk) -> Iterator[DryRuns]:
    """Dry runs in that copy."""
    server = DryRuns(desk.folder)
    yield server
    server.close()


def named(path: str) -> tuple[str, str]:
    """Return the column and the name of an artifact's path."""
    group, *parts = Path(path).parts[1:]
    columns = dict(
        zip(("tasks", "backbones", "runs", "hidden_states", "probes", "tables", "figures"), COLUMNS, strict=True)
    )
    if len(parts) < 5:
        return columns[group], parts[0]
    task, backbone, method, trainable, _ = parts
    if method == "none":  # statements, which no run reads
        return columns[group], task
    told = [backbone] * (backbone != "qwen3") + ["frozen"] * (trainable == "frozen")
    return columns[group], f"{method}({','.join(told)})" if told else method


def test_after_a_finished_run_nothing_is_stale(dry_runs: DryRuns) -> None:
    assert dry_runs.ask() == (set(), {})


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.what)
def test_an_edit_makes_stale_what_it_can_change_and_nothing_else(desk: Desk, dry_runs: DryRuns, edit: Edit) -> None:
    edit.do(desk)
    try:
        stale, why = dry_runs.ask()
    finally:
        desk.put_back()
    assert stale == edit.expected()
    explained = {named(path) for path, words in why.items() if words != NOT_MADE or named(path) in _names(stale)}
    assert explained <= _names(stale)
    assert edit.reason == COMMAND or _names(stale, own=True) <= explained


def _names(stale: set[Job], own: bool = False) -> set[tuple[str, str]]:
    return {(job.column, job.name) for job in stale if job.own or not own}


def test_the_matrix_has_edits_of_every_kind() -> None:
    kinds = [edit.kind for edit in EDITS]
    assert len(EDITS) >= 25
    assert set(kinds) == {"source", "config", "environment", "artifact"}
    assert all(kinds.count(kind) >= 5 for kind in kinds)


def test_the_table_in_the_documentation_is_this_matrix() -> None:
    assert with_table(PAGE.read_text(), EDITS) == PAGE.read_text(), "run python -m tests.workflow.matrix"


def test_why_names_each_change_in_words(desk: Desk) -> None:
    desk.replace("config/methods/lt-tuning.yaml", "keep: 0.85", "keep: 0.9")
    desk.append("src/thoughtscope/figures/accuracy_backbones.py", "\nADDED = 1\n")
    desk.replace("workflow/rules/tables.smk", "--table {", "--table  {")
    done = upkeep(desk.folder, "why", "--configfile", CONFIG)
    desk.put_back()
    said = done.stdout.splitlines()
    assert said[0] == "train lt-tuning/qwen3: `method.curriculum[1].insertion.keep` 0.85 -> 0.9"
    assert "figure accuracy_backbones: the code of figures.accuracy_backbones changed" in said
    assert "table probes: Snakemake says: rule implementation changed" in said
    assert said[-1].startswith("because of that also: extract lt-tuning/qwen3, table summary")


def test_results_copied_without_snakemakes_records_are_adopted_if_they_hold(smoke: Workspace, tmp_path: Path) -> None:
    copy = copy_of(smoke, tmp_path / "copy")
    shutil.rmtree(copy.folder / ".snakemake")
    Desk(copy.folder).flip("results/runs/chain/qwen3/pause/live/seed0/metrics.parquet")
    done = upkeep(copy.folder, "adopt", "--configfile", CONFIG)
    assert done.returncode == 1
    said = done.stdout.splitlines()
    assert (
        said[0] == "not adopted: train pause/qwen3: metrics.parquet was altered: as long as before, with other content"
    )
    assert said[1:3] == [
        f"not adopted: table {name}: train pause/qwen3 does not hold" for name in ("summary", "curves")
    ]
    assert said[3].endswith("artifacts adopted, 0 were known already, 3 left to be made")
    dry_run = copy.snakemake("-n", "--configfile", CONFIG).stdout
    assert "pause/live/seed0: Snakemake has no record of how it was made; it is made anew" in dry_run
    assert {(job.column, job.name) for job in jobs(dry_run)} == {
        ("train", "pause"),
        ("table", "summary"),
        ("table", "curves"),
    }


def test_a_figure_leads_back_to_the_seeds_of_its_tasks(desk: Desk) -> None:
    done = upkeep(desk.folder, "trace", "results/figures/latent_scatter.png")
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout
    depth = {
        line.split(":")[0].strip(): (len(line) - len(line.lstrip())) // 2 for line in lines if "see above" not in line
    }
    run_path = "chain/qwen3/coconut/live/seed0"
    assert [depth[f"results/{name}"] for name in (f"hidden_states/{run_path}", f"runs/{run_path}")] == [1, 2]
    assert depth["results/figures/latent_scatter.png"] == 0
    task = next(line for line in lines if line.strip().startswith("results/tasks/chain: prepare_task"))
    assert "seed 0" in task
    train = next(line for line in lines if line.strip().startswith(f"results/runs/{run_path}: train"))
    for word in ("seed 0", "sources ", "torch ", "deepspeed ", "python ", "1 threads"):
        assert word in train
    desk.flip("results/tasks/chain/manifest.json")
    broken = upkeep(desk.folder, "trace", "results/figures/latent_scatter.png")
    desk.put_back()
    assert broken.returncode == 1
    assert "results/tasks/chain: made anew with other content since; the chain is broken here" in broken.stdout


def test_verify_finds_what_snakemake_cannot_see(desk: Desk) -> None:
    assert upkeep(desk.folder, "verify").returncode == 0
    name = "results/hidden_states/chain/qwen3/coconut/live/seed0/kind=input/layer=none/part.parquet"
    desk.flip(name)
    done = upkeep(desk.folder, "verify")
    desk.put_back()
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == f"{name}: altered: as long as before, with other content"
