"""Results are reproducible, and an artifact that is made again with the same content makes nothing else stale."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from tests.tools.compare import differences
from tests.workflow.conftest import ROOT, Workspace, copy_of, make_workspace
from tests.workflow.desk import Desk
from tests.workflow.dry_runs import CONFIG, DryRuns, Stale
from workflow.lib.sources import read

pytestmark = pytest.mark.slow
SMOKE = ("--cores", "1", "--configfile", CONFIG)
COCONUT, COT = "chain/qwen3/coconut/full/seed0", "chain/qwen3/cot/full/seed0"
PICTURE = "results/figures/latent_scatter.png"
TRACER = Path(__file__).parent / "tracer"
LIBRARY = ROOT / "src/thoughtscope"
EXEMPT = {
    ".".join(path.relative_to(LIBRARY).with_suffix("").parts).removesuffix(".__init__")
    for path in LIBRARY.rglob("*.py")
    if not read(path).affects_results
}


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
        ("build_backbone.py", ["backbones/qwen3/seed0/"]),
        ("worker.py", [f"runs/{COCONUT}/", f"runs/{COT}/"]),
        ("extract_hidden_states.py", [f"hidden_states/{COCONUT}/", "statements/facts/qwen3/"]),
        (
            "fit_probe.py",
            [f"probes/{name}/" for name in (f"values/{COCONUT}", f"effects/{COCONUT}", "truth/facts/qwen3")],
        ),
        ("make_table.py", ["tables/probes."]),
        ("draw_figure.py", ["figures/latent_scatter."]),
    ],
)
def test_a_stage_loads_only_sources_that_its_digest_holds(
    twice: tuple[Workspace, Workspace], program: str, artifacts: list[str]
) -> None:
    folder = twice[1].folder
    records = [json.loads((folder / f"results/{one}provenance.json").read_text()) for one in artifacts]
    held = [EXEMPT | record["sources"].keys() for record in records]
    notes = [json.loads(path.read_text()) for path in (folder / "traced").glob("*.json")]
    loaded = [
        {name.removeprefix("thoughtscope.") for name in note["loaded"]} for note in notes if note["program"] == program
    ]
    assert len(loaded) == len(held)
    assert any(all(one <= own for one, own in zip(order, held, strict=True)) for order in permutations(loaded))
    if program == "worker.py":
        assert sum("latents.fills.hidden" in one for one in loaded) == 1, "cot has no latents"


def stale(workspace: Workspace, *targets: str) -> set[Stale]:
    """Return the jobs that would run."""
    server = DryRuns(workspace.folder)
    try:
        return server.ask(*targets)
    finally:
        server.close()


def test_a_task_made_again_with_equal_content_makes_nothing_else_again(smoke: Workspace, tmp_path: Path) -> None:
    copy = copy_of(smoke, tmp_path / "copy")
    Desk(copy.folder).append("src/thoughtscope/tasks/chain.py", "\nADDED = 1\n")
    assert {job.column for job in stale(copy)} >= {"task", "train"}
    copy.snakemake(*SMOKE, "--no-hooks", "--until", "prepare_task")
    assert stale(copy) == set()


def test_a_killed_retraining_leaves_no_stale_output_and_resumes(smoke: Workspace, tmp_path: Path) -> None:
    copy = copy_of(smoke, tmp_path / "copy")
    Desk(copy.folder).replace(CONFIG, "updates: 16", "updates: 40\n  save_every_seconds: 0.2")
    Desk(copy.folder).replace(CONFIG, "every: 8", "every: 40")
    run, state = copy.folder / "results/runs" / COT, copy.folder / "results/state"
    command = [str(Path(sys.executable).parent / "snakemake"), f"results/runs/{COT}/manifest.json", *SMOKE]
    options: dict[str, Any] = {"cwd": copy.folder, "env": copy.environment(), "start_new_session": True}
    with subprocess.Popen(command, **options, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 240
        while not list(state.glob("*/step-*")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    assert list(state.glob("*/step-*")), "it has saved"
    assert [path.name for path in run.rglob("*") if path.is_file()] == [], "what was declared went before it started"
    copy.snakemake(f"results/runs/{COT}/manifest.json", *SMOKE, "--no-hooks", "--nolock")
    assert "resumed at update" in (copy.folder / f"results/logs/runs/{COT}.all.log").read_text()
    assert json.loads((run / "schedule.json").read_text())["updates"] == 40
    assert not list(state.glob("*")), "a finished run needs no state"


MINE = """
kind: table
hold_out: 1
splits: {train: {path: data/train.jsonl}, test: {path: "data/te*.jsonl"}}
"""


def test_a_local_data_file_is_read_again_when_its_content_changes(workspace: Workspace) -> None:
    desk, task = Desk(workspace.folder), "results/tasks/mine/manifest.json"
    desk.write("config/tasks/mine.yaml", MINE)
    rows = [json.dumps({"question": f"{i} + 1?", "steps": [f"{i + 1}"], "answer": f"{i + 1}"}) for i in range(6)]
    desk.write("data/train.jsonl", "\n".join(rows[:4]))
    desk.write("data/test.jsonl", "\n".join(rows[4:]))
    workspace.snakemake(task, *SMOKE, "--no-hooks")
    desk.write("data/test.jsonl", "\n".join(rows[4:]))
    assert stale(workspace, task) == set()
    desk.write("data/test.jsonl", "\n".join(rows[3:]))
    (job,) = stale(workspace, task)
    assert (job.column, job.reason) == ("task", "Updated input files")
