"""Measures what each intervention on latents costs next to a plain evaluation of the same run; prints Markdown.

.venv/bin/python bench/interventions.py results/runs/chain/qwen3/coconut/full/seed0 [--rounds 3] [--examples 256]

One process, one thread. In every round a plain evaluation (generation and reading of answers) and each intervention run
once, one after another, in processor time; a ratio is the median of the rounds' ratios. Every intervention answers each
question once for each of its latents. `shared` is what they share: answering once, and computing the responses again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from thoughtscope import schemas
from thoughtscope.accuracy import predict
from thoughtscope.interventions.effects import Effects
from thoughtscope.interventions.trained import final_reasoner
from thoughtscope.latents.generate import Decoding
from thoughtscope.probes.interventions import ALL
from thoughtscope.run_id import RunId
from thoughtscope.tasks.prepare import EXAMPLES


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time of `work`."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Measure one run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--examples", type=int, default=256)
    parser.add_argument("--max-new-tokens", type=int, default=24)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    run = RunId.parse("/".join(arguments.run.parts[-5:]))
    task = arguments.run.parents[5] / "tasks" / run.task / EXAMPLES
    rows = schemas.read_any(task).to_pylist()
    rows = [{"outcomes": [], **row} for row in rows if row["split"] == "test"][: arguments.examples]
    reasoner = final_reasoner(arguments.run)
    decoding = Decoding(max_new_tokens=arguments.max_new_tokens, max_latents=32)
    examples = [reasoner.encode(row) for row in rows]
    predict(reasoner, examples, decoding)  # warm
    ratios: dict[str, list[float]] = {}
    for _ in range(arguments.rounds):
        plain = seconds(lambda: predict(reasoner, examples, decoding))
        made: list[Effects] = []
        shared = seconds(lambda: made.append(Effects(reasoner, rows, decoding)))  # noqa: B023
        computed = seconds(lambda: [made[0].answered(part) for part in made[0].parts()])  # noqa: B023
        ratios.setdefault("shared", []).append((shared + computed) / plain)
        for name in ALL:
            alone = seconds(lambda: list(made[0].measure([name])))  # noqa: B023
            ratios.setdefault(name, []).append((alone - computed) / plain)
    print(f"{run.path}: {len(rows)} questions, {sum(map(len, made[0].fed)) / len(rows):.1f} latents each\n")
    print("| | of a plain evaluation |\n| --- | --- |")
    for name, found in ratios.items():
        print(f"| {name} | {median(found):.2f} |")
    print(f"| all, shared included, for each kind | {sum(map(median, ratios.values())) / len(ALL):.2f} |")


if __name__ == "__main__":
    main()
