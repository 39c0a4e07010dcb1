"""The program that makes tables: one line of error, and a former table stays when a new one cannot be made."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import write_run, write_states

from thoughtscope.run_id import RunId

PROGRAM = Path(__file__).parents[2] / "workflow" / "scripts" / "make_table.py"
RUN = RunId("chain", "qwen3", "coconut", "full", 0)


def make(table, inputs, output, settings=None):
    for folder in inputs:
        (folder / "manifest.json").write_text("{}")
    arguments = [
        "--table",
        table,
        "--settings",
        json.dumps({"kind": table, "settings": settings or {}, "methods": {"coconut": "Coconut"}}),
        "--output",
        str(output),
    ]
    command = [sys.executable, str(PROGRAM), *arguments, "--inputs", *map(str, inputs)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def states(tmp_path):
    return write_states(tmp_path / "states", RUN, {1: np.random.default_rng(0).normal(size=(60, 8))})


def test_it_writes_the_table_and_its_record_and_nothing_else(tmp_path):
    output = tmp_path / "tables" / "summary.csv"
    run = write_run(tmp_path / "runs", RUN, {0: [False] * 4, 10: [True] * 4})
    done = make("summary", [run], output, {"confidence": 0.9})
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in output.parent.iterdir()) == ["summary.csv", "summary.provenance.json"]
    row = pd.read_csv(output).iloc[0]
    assert (row["label"], row["accuracy"], row["n"]) == ("Coconut", 1.0, 4)


def test_it_makes_the_same_bytes_each_time(tmp_path, states):
    outputs = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for output in outputs:
        assert make("collapse", [states], output).returncode == 0
    assert outputs[0].read_bytes() == outputs[1].read_bytes()


def test_a_damaged_input_is_one_line_and_leaves_the_former_table(tmp_path, states):
    output = tmp_path / "collapse.csv"
    output.write_text("former\n")
    (states / "kind=input" / "layer=none" / "part.parquet").write_bytes(b"PAR1 and no more")
    done = make("collapse", [states], output)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "part.parquet: not a whole file" in done.stderr
    assert output.read_text() == "former\n"


def test_an_unknown_setting_is_named(tmp_path, states):
    done = make("collapse", [states], tmp_path / "x.csv", {"confidnce": 0.9})
    assert done.returncode == 2
    assert "tables.collapse: confidnce: unknown key" in done.stderr
