"""The long campaign of `make faults`: random kills and every other fault, with the figures of what came of them."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.integration.world import LT_TUNING, make_world
from tests.workflow.conftest import make_workspace

from . import faults


def main() -> int:
    """Do every fault; end with 1 if something was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the moments; printed, to repeat them")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder) / "world")
        workspaces = [Path(folder) / name for name in ("read-only", "two")]
        for path in workspaces:
            path.mkdir()
        results = [
            attempt(
                "random kills",
                arguments.kills,
                lambda: print(faults.kill_at_random(world, LT_TUNING, arguments.kills, arguments.seed)),
            ),
            attempt("disk full while saving", 1, lambda: faults.full_disk(world)),
            attempt("read-only results", 1, lambda: faults.read_only_results(make_workspace(workspaces[0]))),
            attempt("Parquet cut short", 1, lambda: faults.cut_parquet(world)),
            attempt("clock back, then killed", 1, lambda: faults.clock_back(world)),
            attempt("two Snakemakes", 1, lambda: faults.two_snakemakes(make_workspace(workspaces[1]))),
        ]
    return 0 if all(results) else 1


def attempt(name: str, injected: int, fault: Callable[[], None]) -> bool:
    """Do a fault and print its row: fault, injected, survived, lost, seconds."""
    started = time.monotonic()
    try:
        fault()
        survived = injected
    except Exception:
        traceback.print_exc()
        survived = 0
    seconds = time.monotonic() - started
    print(f"| {name} | {injected} | {survived} | {injected - survived} | {seconds:.0f} |", flush=True)
    return survived == injected


if __name__ == "__main__":
    sys.exit(main())
