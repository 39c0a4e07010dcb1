"""What being able to resume costs: the share of saving in a run, and how soon a resumed run takes its first step.

    .venv/bin/python -m bench.saving [--seconds 200] [--starts 5]

Trains the tiny Qwen3 of the default with Coconut and batches of 64. Prints the ratios of one run, and ends
with 1 if saving takes 3 % or more, or a resumed start twice as long as a fresh one or more.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.integration.world import COCONUT, ENVIRONMENT, World, make_world
from thoughtscope.training.trainer import ContinueLaterError

TRAINING: dict[str, Any] = {"updates": 100_000, "batch_size": 64}
RARELY = {"every": 1000}


def main() -> int:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=200.0, help="how long the run trains whose saving is timed")
    parser.add_argument("--starts", type=int, default=5, help="pairs of a fresh and a resumed start")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder))
        share = saving(world, arguments.seconds)
        ratio = starts(world, arguments.starts)
    return 0 if share < 0.03 and ratio < 2 else 1


def saving(world: World, seconds: float) -> float:
    """Return the share of the time that a run spends saving at the default interval."""
    end = time.monotonic() + seconds
    run = world.here("saving", COCONUT, lambda: time.monotonic() > end, training=TRAINING, evaluation=RARELY)
    save, spent = run._save, []

    def timed() -> None:
        started = time.monotonic()
        save()
        spent.append(time.monotonic() - started)

    run._save = timed  # type: ignore[method-assign]
    started = time.monotonic()
    try:
        run.execute()
    except ContinueLaterError:
        total = time.monotonic() - started
    size = sum(file.stat().st_size for file in world.states("saving")[-1].iterdir())
    share = sum(spent) / total
    print(
        f"saving: {len(spent)} states of {size / 1e6:.1f} MB in {total:.0f} s of {run.progress.step} updates, "
        f"every {run.training.save_every_seconds:.0f} s: {1e3 * statistics.mean(spent):.0f} ms each, "
        f"{share:.3%} of the time"
    )
    return share


def starts(world: World, pairs: int) -> float:
    """Return the median time to the first update of resumed starts over that of fresh ones, taken in turn."""
    taken: dict[str, list[float]] = {"fresh": [], "resumed": []}
    for pair in range(pairs):
        command = world.command(f"start-{pair}", COCONUT, training=TRAINING, evaluation=RARELY)
        for kind in taken:
            taken[kind].append(to_first_update(world, f"start-{pair}", command))
    fresh, resumed = (statistics.median(times) for times in taken.values())
    print(f"first update after: fresh {fresh:.2f} s, resumed {resumed:.2f} s, ratio {resumed / fresh:.2f}")
    print({kind: [round(value, 2) for value in times] for kind, times in taken.items()})
    return resumed / fresh


def to_first_update(world: World, name: str, command: list[str]) -> float:
    """Start a run, wait for its first update, ask it to save and stop, and return the seconds to that update."""
    before = world.updates(name)
    started = time.monotonic()
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL, start_new_session=True)
    while world.updates(name) <= before:
        if process.poll() is not None:
            raise RuntimeError(f"the run ended with {process.returncode}")
        time.sleep(0.005)
    seconds = time.monotonic() - started
    os.kill(process.pid, signal.SIGTERM)
    process.wait()
    return seconds


if __name__ == "__main__":
    sys.exit(main())
