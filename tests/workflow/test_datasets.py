"""The whole pipeline on every shipped dataset, with generated rows in the published format of each.

Datasets of the hub come from a local hub over HTTP: they are pinned, fetched, and then read without a network, as on
the nodes of a cluster.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.hub import COMMIT, Shelf, hub
from tests.workflow.conftest import Workspace, make_workspace
from thoughtscope import schemas
from thoughtscope.run_id import RunId

pytestmark = pytest.mark.slow
CONFIG = "config/datasets.yaml"
TRAINED = {
    "gsm8k": "coconut-gsm8k",
    "gsm8k-aug": "lt-tuning",
    "commonsenseqa": "no-cot",
    "prontoqa": "coconut",
    "prosqa-published": "coconut-prosqa",
}
STUDY = {
    "runs": [{"task": task, "backbone": "qwen3", "method": method} for task, method in TRAINED.items()],
    "training": {"updates": 10, "batch_size": 4, "keep_checkpoints": [1.0], "abort_gradient_norm": 1e6},
    "evaluation": {"every": 10, "max_new_tokens": 8, "validation_examples": 2},
    "pretraining": {"tasks": [*TRAINED, "prosqa", "cities", "truthfulqa"], "updates": 2, "batch_size": 4},
    "probes": {
        "truth": {
            "kind": "truth_direction", "task": "truthfulqa", "backbone": "qwen3", "permutations": 99, "bootstrap": 10,
        },
    },
    "tables": {"test_sets": {}},
    "figures": {
        "test_sets": {"kind": "test_sets", "runs": {"task": "gsm8k"}}, "activity": {"kind": "activity_heatmap"},
    },
    "overrides": {
        "tasks": {
            **{task: {"hold_out": 3} for task in ("gsm8k", "commonsenseqa")},
            "prontoqa": {"splits": {"validation": 2, "test": 2}},
            "prosqa": {"concepts": 8, "hops": [2, 2], "splits": {"train": 12, "validation": 2, "test": 2}},
            **{task: {"calibration": 3} for task in ("cities", "truthfulqa")},
        },
        "methods": {
            "coconut": {"shares": [0.3, 0.3], "ending": {"learned_at": None}},
            "coconut-gsm8k": {"shares": [0.2, 0.2, 0.2, 0.2]},
        },
    },
}  # fmt: skip

NUMBERS = range(12)
WORDS = [f"Ann has {i} apples and buys {i} more. How many?" for i in NUMBERS]
HUB: dict[str, dict[str, list[dict[str, Any]]]] = {
    "openai/gsm8k main": {
        part: [
            {
                "question": f"{part}: {WORDS[i]}",
                "answer": f"She has {i}+{i}=<<{i}+{i}={2 * i}>>{2 * i}.\nAll hers.\n#### {2 * i}",
            }
            for i in numbers
        ]
        for part, numbers in (("train", NUMBERS), ("test", range(3)))
    },
    "ChilleD/MultiArith": {"test": [{"question": f" {WORDS[1]} ", "final_ans": "2"}]},
    "ChilleD/SVAMP": {
        "test": [{"ID": "c-1", "Body": "Ann has 3 pears.", "Question": "How many?", "Equation": "3", "Answer": "3.0"}]
    },
    "reasoning-machines/gsm-hard": {
        "train": [{"input": WORDS[2], "code": "def solution():\n    return 4", "target": 4.0}]
    },
    "tau/commonsense_qa": {
        part: [
            {
                "id": str(i),
                "question": f"Where is apple {i} ({part})?",
                "question_concept": "apple",
                "answerKey": "AB"[i % 2],
                "choices": {"label": ["A", "B"], "text": ["tree", f"sea {i}"]},
            }
            for i in NUMBERS
        ]
        for part in ("train", "validation")
    },
    "truthfulqa/truthful_qa generation": {
        "validation": [
            {
                "type": "Adversarial", "category": "Health" if i % 2 else "Myths", "question": f"Are {i} seeds bad?",
                "best_answer": "No", "correct_answers": ["No", f"Not {i}"], "incorrect_answers": ["Yes", "You die"],
                "source": "made",
            }
            for i in range(24)
        ]
    },
}  # fmt: skip


def write_hub(folder: Path) -> Shelf:
    """Write each dataset in the format of the hub: Parquet files, listed at the top of its page."""
    shelf = Shelf()
    for name, parts in HUB.items():
        hub_id, _, config = name.partition(" ")
        place = folder / hub_id
        (place / "data").mkdir(parents=True)
        for part, rows in parts.items():
            pq.write_table(pa.Table.from_pylist(rows), place / f"data/{part}-00000-of-00001.parquet")
        files = [{"split": part, "path": f"data/{part}-*"} for part in parts]
        head = yaml.safe_dump({"configs": [{"config_name": config or "default", "data_files": files}]})
        (place / "README.md").write_text(f"---\n{head}---\n")
        shelf.folders[f"datasets/{hub_id}"] = place
    return shelf


def write_files(folder: Path) -> None:
    """Write the datasets that are read from local files."""

    def write(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".csv":
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        else:
            lines = path.suffix == ".jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows) if lines else json.dumps(rows))

    equations = [{"question": WORDS[i], "steps": [f"<<{i}+{i}={2 * i}>>"], "answer": str(2 * i)} for i in NUMBERS]
    equations[0] |= {"steps": [""]}  # as Coconut's script writes a problem without equations
    for part, rows in (("train", equations[:8]), ("valid", equations[8:10]), ("test", equations[10:])):
        write(f"gsm_{part}.json", rows)
    write("asdiv-aug/test.jsonl", [{"question": WORDS[3], "answer": "6 apples"}])
    logic = {
        f"example{i + 1}": {
            "test_example": {
                "question": f"Wumpus {i} is a cat. Every cat is red. ", "query": f"True or false: Wumpus {i} is red.",
                "chain_of_thought": [f"Wumpus {i} is a cat.", "Every cat is red.", f"Wumpus {i} is red."],
                "answer": "False" if i % 2 else "True",
            }
        }
        for i in NUMBERS
    }  # fmt: skip
    (folder / "data/5hop_0shot_random.json").write_text(json.dumps(logic, indent=1))
    graphs = [
        {
            "question": f"Every rempus is a cat{i}. Tom is a rempus. Is Tom a cat{i} or a dog{i}?",
            "steps": ["Tom is a rempus.", f"Every rempus is a cat{i}."], "answer": f"Tom is a cat{i}.",
            "idx_to_symbol": ["Tom", "rempus", f"cat{i}", f"dog{i}"], "edges": [[0, 1], [1, 2]], "root": 0,
            "target": 2, "neg_target": 3,
        }
        for i in NUMBERS
    ]  # fmt: skip
    for part, rows in (("train", graphs[:8]), ("valid", graphs[8:10]), ("test", graphs[10:])):
        write(f"prosqa_{part}.json", rows)
    for name, verb, true in (("cities", "is", 1), ("neg_cities", "is not", 0)):
        rows = [
            {
                "statement": f"The city of Town{i} {verb} in {'Peru' if own else 'Chad'}.", "label": int(own == true),
                "city": f"Town{i}", "country": "Peru" if own else "Chad", "correct_country": "Peru",
            }
            for i in NUMBERS for own in (1, 0)
        ]  # fmt: skip
        write(f"geometry-of-truth/{name}.csv", rows)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A finished study on all datasets, which was pinned and fetched from the hub and then ran without it."""
    folder = tmp_path_factory.mktemp("datasets")
    workspace = make_workspace(folder / "work")
    write_files(workspace.folder)
    (workspace.folder / CONFIG).write_text(yaml.safe_dump(STUDY))
    with pytest.MonkeyPatch.context() as patch, hub(write_hub(folder / "hub")) as address:
        for name in [name for name in os.environ if "proxy" in name.lower()]:
            patch.delenv(name)
        for name, value in (("HF_ENDPOINT", address), ("HF_HOME", str(folder / "home")), ("HF_HUB_DISABLE_XET", "1")):
            patch.setenv(name, value)
        for program in ("pin", "fetch"):
            command = [sys.executable, "-m", "thoughtscope.cli", program, "--configfile", CONFIG]
            done = subprocess.run(command, cwd=workspace.folder, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, done.stderr
        patch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        patch.setenv("HF_HUB_OFFLINE", "1")
        workspace.snakemake(
            "all", "results/tasks/cities/manifest.json", "--cores", "1", "--no-hooks", "--configfile", CONFIG
        )
    return workspace


def test_hub_datasets_are_pinned_to_their_commit(finished: Workspace) -> None:
    lock = yaml.safe_load((finished.folder / "config/revisions.lock.yaml").read_text())
    assert lock["datasets"] == {name.split()[0]: COMMIT for name in HUB}


@pytest.mark.parametrize(("task", "method"), TRAINED.items())
def test_a_dataset_is_trained_on_and_measured(finished: Workspace, task: str, method: str) -> None:
    folder = finished.folder / "results/runs" / RunId(task, "qwen3", method, "full", 0).path
    curve = schemas.read(folder / "accuracy.parquet", schemas.ACCURACY).to_pandas()
    assert curve["step"].max() == 10
    further = {
        "gsm8k": {"test-asdiv-aug", "test-multiarith", "test-svamp"}, "gsm8k-aug": {"test-gsm-hard"},
    }  # fmt: skip
    assert set(curve["split"]) >= {"test"} | further.get(task, set())


def test_the_table_of_test_sets_has_every_test_set(finished: Workspace) -> None:
    table = pd.read_csv(finished.folder / "results/tables/test_sets.csv")
    found = set(zip(table["task"], table["split"], strict=True))
    assert found >= {("gsm8k", "test-svamp"), ("gsm8k", "mean"), ("gsm8k-aug", "test-gsm-hard")}
    assert ("prosqa-published", "test") in found


def test_statements_of_a_hub_become_directions_and_a_figure(finished: Workspace) -> None:
    results = finished.folder / "results"
    truth = schemas.read_any(results / "probes/truth/truthfulqa/qwen3/tables/evidence.parquet")
    assert "all" in truth["subset"].to_pylist()
    assert {"surprisal-only", "text-only"} <= set(truth["direction"].to_pylist())
    assert (results / "figures/activity.png").is_file()
    rows = schemas.read(results / "tasks/cities/task.parquet", schemas.STATEMENTS).to_pandas()
    assert set(rows["split"]) == {"train", "test", "calibration", "display"}
    assert rows["negated"].any()
