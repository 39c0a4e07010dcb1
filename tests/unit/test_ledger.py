"""The numbers of the documentation come from results: the program writes them, and nobody else does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from synthetic import write_run

from bench.ledger import MARKED, PAGES, PARTS, Execution, fill
from thoughtscope.evaluation.settings import Solving
from thoughtscope.run_id import RunId
from thoughtscope.tables.curves import Curves
from thoughtscope.tables.summary import Summary

ROOT = Path(__file__).parents[2]
PROBES = ["task", "backbone", "method", "trainable", "seed", "probe", "kind", "layer", "latent_index", "target"]
PROBES += ["direction", "unit", "subset", "n", "value", "ci_low", "ci_high", "p_corrected", "passes_null"]


def right(share: float) -> list[bool]:
    return [item < 100 * share for item in range(100)]


def run(method: str, backbone: str = "qwen3", trainable: str = "full", seed: int = 0) -> RunId:
    return RunId("chain", backbone, method, trainable, seed)


def write_results(folder: Path, ends: dict[RunId, float]) -> Path:
    """Write what the program reads of a results folder: runs that end at the given accuracies, and two probes."""
    folders = []
    for one, end in ends.items():
        stages = {"current": {0: right(0.1), 10: right(0.9)}, "ends": [10]}
        made = write_run(folder / "runs", one, {0: right(0.1), 10: right(0.2), 20: right(end)}, **stages)
        facts = {"git_revision": "abcdef0123", "hardware": {"processor": "Test CPU"}, "threads": "1"}
        (made / "provenance.json").write_text(json.dumps(facts))
        (made / "model").mkdir()
        (made / "model/config.json").write_text('{"num_hidden_layers": 2}')
        cost = folder / f"benchmarks/runs/{one.path}.tsv"
        cost.parent.mkdir(parents=True, exist_ok=True)
        cost.write_text("s\tmax_pss\n41.6\t690.4\n")
        folders.append(made)
    (folder / "benchmarks/explore.tsv").write_text("s\tmax_pss\n2.5\t300\n")  # a stage of one job
    tables = folder / "tables"
    tables.mkdir()
    Summary(Solving()).make(folders).to_csv(tables / "summary.csv", index=False)
    Curves(Solving()).make(folders).to_csv(tables / "curves.csv", index=False)
    _probes().to_csv(tables / "probes.csv", index=False)
    _interventions().to_csv(tables / "interventions.csv", index=False)
    return folder


def _interventions() -> pd.DataFrame:
    measured = {"accuracy_change": -0.99, "change_low": -1.0, "change_high": -0.96}
    measured |= {"donor_share": 0.98, "donor_low": 0.95, "donor_high": 1.0, "target": 1.0}
    one = {"label": "Coconut", "seeds": 3, "latent_index": 1, "n": 254, **measured}
    return pd.DataFrame([{**one, "intervention": "zeros"}, {**one, "intervention": "swap"}])


def _probes() -> pd.DataFrame:
    name = {"task": "chain", "backbone": "qwen3", "method": "coconut", "trainable": "full", "seed": 0, "n": 256}
    latent = {**name, "probe": "values", "kind": "input", "layer": None}
    read = [
        {**latent, "target": 1, "latent_index": k, "value": value, "passes_null": value > 0.5}
        for k, value in ((1, 1.0), (2, 0.99), (3, 0.15))
    ]
    statement = {**name, "probe": "truth", "unit": "statement", "ci_low": 0.9, "ci_high": 0.99, "p_corrected": 0.001}
    found = [("logistic", 7, "all", 0.91), ("logistic", 8, "all", 0.93), ("whitened-difference", 8, "all", 0.97)]
    found += [("whitened-difference", 8, "unseen", 0.55), ("surprisal-only", None, "all", 0.999)]
    told = [{**statement, "direction": d, "layer": i, "subset": s, "value": v} for d, i, s, v in found]
    return pd.DataFrame([*read, *told], columns=PROBES)


@pytest.fixture(scope="module")
def executions(tmp_path_factory: pytest.TempPathFactory) -> list[Execution]:
    always = {run("coconut", seed=seed): 1.0 for seed in (0, 1)} | {run("pause"): 0.15}
    first = {**always, run("coconut", "llama3.2"): 0.98, run("coconut", "mistral", "lora"): 0.13}
    second = {**always, run("coconut", "llama3.2"): 0.16, run("coconut", "mistral", "lora"): 0.12}
    root = tmp_path_factory.mktemp("ledger")
    return [Execution(name, write_results(root / name, ends)) for name, ends in (("A", first), ("B", second))]


def test_each_line_says_in_how_many_executions_and_seeds_it_solved(executions: list[Execution]) -> None:
    rows = {row.split("|")[1].strip(): row for row in PARTS["lines"](executions).splitlines()[2:]}
    assert rows["coconut, qwen3, full"].endswith(
        "| 1.000 to 1.000; 2/2 [.34, 1.00] | 1.000 to 1.000; 2/2 [.34, 1.00] | 4 of 4 |"
    )
    assert rows["coconut, llama3.2, full"].startswith("| coconut, llama3.2, full | 0.980 [")
    assert "| 0.160 [" in rows["coconut, llama3.2, full"]
    assert rows["coconut, llama3.2, full"].endswith("| 1 of 2 |")
    assert rows["pause, qwen3, full"].endswith("| 0 of 2 |")


def test_lines_that_flip_are_told_from_those_that_do_not(executions: list[Execution]) -> None:
    always, never, sometimes = PARTS["verdicts"](executions).splitlines()
    assert always == "- **Solved by every seed in 2 executions of 2 seeds**: coconut, qwen3, full."
    assert never == "- **Solved by none**: pause, qwen3, full; coconut, mistral, lora."
    assert sometimes.endswith(": coconut, llama3.2, full.")


def test_executions_are_compared_run_by_run(executions: list[Execution]) -> None:
    row = PARTS["agreement"](executions).splitlines()[-1]
    assert row == "| A and B | 5 | 4 | 0.820 | coconut, llama3.2, full |"
    assert "nothing is known" in PARTS["agreement"](executions[:1])


def test_the_other_parts_hold_what_the_tables_hold(executions: list[Execution]) -> None:
    parts = {name: part(executions) for name, part in PARTS.items()}
    assert "| A | abcdef0 | Test CPU |" in parts["executions"]
    assert "| coconut, qwen3, full, seed 1 | 2 | 20 | 10, 20 | 60 | 42 | 690 | 0.00 | 5.00 | 0.100 |" in parts["ledger"]
    assert "| coconut, qwen3, full, seed 0 | 1 | 1.00 | 0.99 | 0.15 (chance) |" in parts["latents"]
    truth = [row.split(" | ")[:4] for row in parts["truth"].splitlines()[2:]]
    assert truth == [
        ["| statement", "logistic", "8", "all"],
        ["| statement", "whitened-difference", "8", "all"],
        ["| statement", "surprisal-only", "-", "all"],
        ["| statement", "whitened-difference", "8", "unseen"],
    ]
    assert "| B | coconut, llama3.2, full, seed 0 | stage 1 | 20 | 0.160 | -0.740 [" in parts["lost"]
    assert parts["costs"].splitlines()[-2:] == ["| explore | 1 | 2 | 2 | 300 |", "| runs | 5 | 210 | 42 | 690 |"]
    swapped = "| Coconut | 3 | 1 | 254 | -0.990 [-1.000, -0.960] | 0.980 [0.950, 1.000] | 1 |"
    assert parts["swaps"].splitlines()[2:] == [swapped]
    assert "commit `abcdef0`: execution A" in parts["made"]


def test_filling_a_page_twice_changes_nothing_and_leaves_its_prose(executions: list[Execution]) -> None:
    for page in PAGES:
        text = (ROOT / page).read_text()
        once = fill(text, executions)
        assert fill(once, executions) == once
        assert MARKED.sub("", once) == MARKED.sub("", text)
        assert "Not filled yet" not in once


def test_the_program_fills_the_pages_of_a_checkout(executions: list[Execution], tmp_path: Path) -> None:
    for page in PAGES:
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / page).write_text((ROOT / page).read_text())
    command = [sys.executable, str(ROOT / "bench/ledger.py"), *(str(one.results) for one in executions)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert "| coconut, llama3.2, full |" in (tmp_path / PAGES[0]).read_text()


MEASURED = {
    "an accuracy": r"(?<![\w.])[01]?\.\d{2,}",
    "a percentage": r"\d+(\.\d+)? ?%",
    "a count": r"\b\d+ of \d+\b|\b\d+/\d+\b",
    "a commit": r"\b[0-9a-f]{7,40}\b(?<=\d\w{6})",
}
LEVEL = re.compile(r"95 ?%")


def by_hand(text: str) -> list[str]:
    """Return what looks like a measured number outside the markers, code and links."""
    prose = LEVEL.sub("", MARKED.sub("", re.sub(r"```.*?```|\]\([^)]*\)", "", text, flags=re.DOTALL)))
    return [match[0] for pattern in MEASURED.values() for match in re.finditer(pattern, prose)]


@pytest.mark.parametrize(
    "page", [page for page in (*PAGES, Path("docs/tuning.md")) if page.name != "staleness.md"], ids=str
)
def test_no_page_about_a_run_has_a_number_that_was_written_by_hand(page: Path) -> None:
    assert by_hand((ROOT / page).read_text()) == []


def test_the_tolerance_between_processors_has_none_either() -> None:
    section = (
        (ROOT / "docs/staleness.md").read_text().partition("### On another processor")[2].partition("## Limits")[0]
    )
    assert section
    assert by_hand(section) == []
