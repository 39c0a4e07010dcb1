"""The benchmark that waits for a card runs whole on a CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_gpu_benchmark_trains_all_three_kinds_on_a_cpu() -> None:
    command = [
        sys.executable,
        "bench/gpu.py",
        "--shape",
        "tiny",
        "--steps",
        "12",
        "--batch",
        "4",
        "--deepspeed",
        "zero1",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if line.startswith("|")
    ]
    found = {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[2:]}
    assert list(found) == ["plain", "coconut", "lt-tuning"]
    for row in found.values():
        assert float(row["tokens/s"]) > 0
        assert float(row["last loss"]) < float(row["first loss"]), "the same four batches again and again: it must fall"


def test_the_preparation_benchmark_prepares_and_measures() -> None:
    command = [sys.executable, "bench/preparation.py", "--share", "0.001"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "{'train': 386, 'validation': 10, 'test': 10}" in done.stdout
    cells = [cell.strip() for cell in done.stdout.splitlines()[-1].split("|")[1:-1]]
    assert cells[0] == "386"
    assert float(cells[-1]) < 1, "gigabytes"


def test_the_benchmark_of_probes_compares_with_refitting() -> None:
    command = [sys.executable, "bench/probes.py", "--sizes", "tiny", "--permutations", "199"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    cells = [cell.strip() for cell in done.stdout.splitlines()[-1].split("|")[1:-1]]
    assert cells[:4] == ["240", "3", "32", "199"]
    assert float(cells[-1]) > 0
