"""Measures the time and memory to prepare a dataset of the size of GSM8K-Aug; prints a table.

Generates rows in the format of Coconut's script (385,620 for train, as in GSM8K-Aug; 500 and 1,319 for validation and
test), with as many words as GSM8K's questions, and runs `write_task` on them in a new process.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZES = {"train": 385_620, "valid": 500, "test": 1_319}
CHILD = """
import sys, pathlib
from thoughtscope.tasks import table
from thoughtscope.tasks.prepare import write_task
folder = pathlib.Path(sys.argv[1])
splits = {{"train": "train", "validation": "valid", "test": "test"}}
raw = {{name: {{"path": str(folder / f"gsm_{{file}}.json")}} for name, file in splits.items()}}
settings = table.Settings.model_validate({{"kind": "table", "no_steps": "keep", "splits": raw}})
out = folder / "out"
out.mkdir()
print(write_task("gsm8k-aug", settings, out))
"""


def row(rng: random.Random, words: list[str], example: int) -> dict[str, object]:
    """Return a made-up problem: about 45 words, and one to eight equations."""
    question = " ".join(rng.choices(words, k=rng.randint(20, 70))) + f" {example}?"
    steps = [f"<<{a}+{b}={a + b}>>" for a, b in ((rng.randrange(99), rng.randrange(99)) for _ in range(3))]
    return {"question": question, "steps": steps[: rng.randint(1, 3)], "answer": f"{rng.randrange(10_000):,}"}


def write(folder: Path, share: float) -> float:
    """Write the three files, `share` of their rows, and return their size in megabytes."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 8))) for _ in range(20_000)]
    size = 0
    for name, count in SIZES.items():
        path = folder / f"gsm_{name}.json"
        path.write_text(json.dumps([row(rng, words, i) for i in range(max(10, round(share * count)))]))
        size += path.stat().st_size
    return size / 1e6


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the rows")
    share = parser.parse_args().share
    with tempfile.TemporaryDirectory() as place:
        size = write(Path(place), share)
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", CHILD.format(), place], check=True)
        seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print("| rows | input MB | seconds | processor seconds | peak memory GB |\n| --- | --- | --- | --- | --- |")
    processor = used.ru_utime + used.ru_stime
    count = round(share * SIZES["train"])
    print(f"| {count:,} | {size:.0f} | {seconds:.0f} | {processor:.0f} | {used.ru_maxrss / 1e6:.2f} |")


if __name__ == "__main__":
    main()
