"""How long Snakemake takes to parse the workflow and to plan it, as runs are added; prints a table.

Parsing is `snakemake --list-rules`, planning a dry run from nothing: every job is collected and has its reason. Takes
the shortest of a few tries, in a copy of the workflow, with runs that differ in method and seed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
COPIED = ("Snakefile", "workflow", "profiles", "config", "envs")
METHODS = ["cot", "no-cot", "icot", "coconut", "lt-tuning"]


def configure(folder: Path, runs: int) -> None:
    """Write a config with so many runs, and figures of some of them."""
    raw = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    seeds = list(range(max(1, runs // len(METHODS))))
    raw["runs"] = [{"task": "chain", "backbone": "qwen3", "method": METHODS, "seed": seeds}]
    raw["probes"] = {}
    raw["figures"] = {
        "accuracy_backbones": {"kind": "accuracy_backbones", "runs": {"method": "coconut"}},
        "latent_scatter": {"kind": "latent_scatter", "runs": {"method": ["coconut", "lt-tuning"], "seed": 0}},
    }
    (folder / "config/many.yaml").write_text(yaml.safe_dump(raw))


def seconds(folder: Path, *arguments: str, tries: int) -> tuple[float, float]:
    """Return the shortest wall time and processor time of a Snakemake call."""
    command = [sys.executable, "-m", "snakemake", "--configfile", "config/many.yaml", *arguments]
    found = []
    for _ in range(tries):
        before, start = os.times(), time.monotonic()
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        after = os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        found.append((time.monotonic() - start, used))
    return min(wall for wall, _ in found), min(used for _, used in found)


def main() -> None:
    """Print how times grow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=[10, 100, 500, 1000])
    parser.add_argument("--tries", type=int, default=3)
    arguments = parser.parse_args()
    print("| runs | parse, s | (processor) | dry run from nothing, s | (processor) |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in COPIED:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, folder / part)
        for runs in arguments.runs:
            configure(folder, runs)
            parse = seconds(folder, "--list-rules", tries=arguments.tries)
            plan = seconds(folder, "-n", tries=arguments.tries)
            print(f"| {runs} | {parse[0]:.1f} | {parse[1]:.1f} | {plan[0]:.1f} | {plan[1]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
