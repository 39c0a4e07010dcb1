"""What reruns after an edit, according to real Snakemake on the finished smoke run; `edits` holds the rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.workflow.conftest import Workspace, ask, copy_of
from tests.workflow.desk import Desk
from tests.workflow.dry_runs import CONFIG, DryRuns
from tests.workflow.edits import EDITS
from tests.workflow.matrix import PAGE, Edit, with_table

pytestmark = pytest.mark.slow


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


def test_after_a_finished_run_nothing_is_stale(dry_runs: DryRuns) -> None:
    assert dry_runs.ask() == set()


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.what)
def test_an_edit_makes_stale_what_it_can_change_and_nothing_else(desk: Desk, dry_runs: DryRuns, edit: Edit) -> None:
    edit.do(desk)
    try:
        found = dry_runs.ask()
    finally:
        desk.put_back()
    assert found == edit.expected()


def test_the_table_in_the_documentation_is_this_matrix() -> None:
    assert with_table(PAGE.read_text(), EDITS) == PAGE.read_text(), "run python -m tests.workflow.matrix"


def test_why_names_each_change_in_words(desk: Desk) -> None:
    desk.replace("config/methods/lt-tuning.yaml", "keep: 0.85", "keep: 0.9")
    desk.append("src/thoughtscope/figures/accuracy_backbones.py", "\nADDED = 1\n")
    desk.append("src/thoughtscope/tables/probes.py", "\nADDED = 1\n")
    desk.replace("envs/requirements.lock", "\nmatplotlib==", "\nmatplotlib==9")
    done = ask(desk.folder, "why", "--configfile", CONFIG)
    desk.put_back()
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    lt_tuning = "train lt-tuning/qwen3 on chain (full, seed 0)"
    assert f"{lt_tuning}: method.curriculum[1].insertion.keep 0.85 -> 0.9" in said
    assert "draw figure accuracy_backbones: the code of figures.accuracy_backbones changed" in said
    assert any(line.startswith("draw figure activity_heatmap: package matplotlib 3.") for line in said)
    assert "make table probes: the code of tables.probes changed" in said
    follow = said[-1].removeprefix("because of that also: ").split(", ")
    assert {"make table summary", "make table curves", "draw figure latent_scatter"} <= set(follow)
    assert ask(desk.folder, "why", "--configfile", CONFIG).stdout == "nothing would rerun\n"


def test_a_config_that_is_refused_is_one_line_of_why(desk: Desk) -> None:
    desk.replace(CONFIG, "updates: 16", "updates: many")
    done = ask(desk.folder, "why", "--configfile", CONFIG)
    desk.put_back()
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "training.updates" in line
    assert "'many'" in line


def test_without_snakemakes_records_only_what_is_incomplete_reruns(desk: Desk, dry_runs: DryRuns) -> None:
    desk.hide(".snakemake/metadata")
    desk.delete("results/runs/chain/qwen3/pause/full/seed0/accuracy.parquet")
    found = {(job.column, job.name) for job in dry_runs.ask()}
    desk.put_back()
    assert found == {("train", "pause"), ("table", "summary"), ("table", "curves"), ("page", "explore")}


def test_a_figure_leads_back_to_the_seeds_of_its_tasks(desk: Desk) -> None:
    done = ask(desk.folder, "trace", "results/figures/latent_scatter.png")
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout
    depth = {
        line.split(":")[0].strip(): (len(line) - len(line.lstrip())) // 2 for line in lines if "see above" not in line
    }
    run_path = "chain/qwen3/coconut/full/seed0"
    assert [depth[f"results/{name}"] for name in (f"hidden_states/{run_path}", f"runs/{run_path}")] == [1, 2]
    assert depth["results/figures/latent_scatter.png"] == 0
    task = next(line for line in lines if line.strip().startswith("results/tasks/chain: prepare_task"))
    assert "seed 0" in task
    train = next(line for line in lines if line.strip().startswith(f"results/runs/{run_path}: train"))
    for word in ("seed 0", "sources ", "torch ", "deepspeed ", "python ", "1 threads"):
        assert word in train
    desk.flip("results/tasks/chain/manifest.json")
    broken = ask(desk.folder, "trace", "results/figures/latent_scatter.png")
    desk.put_back()
    assert broken.returncode == 1
    assert "results/tasks/chain: replaced by other content since; the chain is broken here" in broken.stdout


def test_verify_finds_what_snakemake_cannot_see(desk: Desk) -> None:
    assert ask(desk.folder, "verify").returncode == 0
    name = "results/hidden_states/chain/qwen3/coconut/full/seed0/kind=input/layer=none/part-0000.parquet"
    desk.flip(name)
    done = ask(desk.folder, "verify")
    desk.put_back()
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == f"{name}: altered: as long as before, with other content"
