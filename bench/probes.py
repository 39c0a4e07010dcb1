"""How long truth probes take on synthetic states, and how long refitting every permutation would; prints a table.

Every layer holds the same random states, which are stored once and linked, so that reading them counts and the disk
need not hold all layers. Refitting is measured on one layer with a few permutations and extrapolated to all of them.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from page import fill
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from thoughtscope import schemas
from thoughtscope.hidden_states.write import SURPRISALS, Position, StateWriter
from thoughtscope.probes.directions import Training
from thoughtscope.probes.permutation import auroc
from thoughtscope.probes.settings import TruthSettings
from thoughtscope.probes.statements import Statements
from thoughtscope.probes.truth_direction import TruthDirection

SIZES = {"small": (1662, 31, 576), "large": (1000, 33, 4096), "tiny": (240, 3, 32)}
PREDICATES = 12  # each true of one subject and false of another, in each split
TOKENS = 12  # of a predicate


def statements(count: int) -> list[dict[str, Any]]:
    """Return about `count` true and false statements about as many subjects as there are pairs, and calibration."""
    rows = []
    for number in range(count // 2):
        split = "train" if number % 5 < 3 else "test"
        for label in (1, 0):
            predicate = (number + 1 - label) % PREDICATES
            rows.append((f"s{number:04d}-{label}", split, f"subject{number}", predicate, label))
    rows += [(f"c{number}", "calibration", f"other{number}", number % PREDICATES, None) for number in range(20)]
    rows += [(f"d{label}", "display", "shown", label, label) for label in (0, 1)]
    names = ("example_id", "split", "subject", "predicate", "label")
    return [_statement(dict(zip(names, row, strict=True))) for row in rows]


def _statement(row: dict[str, Any]) -> dict[str, Any]:
    predicate = row.pop("predicate")
    said = " ".join(f"p{predicate}w{k}" for k in range(TOKENS))
    shared = {"attribute": "a", "negated": False, "question": f"Who is {row['subject']}?"}
    return {**row, **shared, "response": f"{row['subject']} is {said}"}


def store(folder: Path, rows: list[dict[str, Any]], layers: int, width: int) -> None:
    """Write random states in which truth shifts every predicate token a little."""
    rng = np.random.default_rng(0)
    places, shifts = [], []
    for row in rows:
        words = row["response"].split(" ")
        places += [Position(row["example_id"], 5 + k, None, k, word) for k, word in enumerate(words)]
        shifts += [0.5 * (row["label"] or 0)] * len(words)
    vectors = rng.standard_normal((len(places), width), dtype=np.float32)
    vectors[:, : width // 8] += np.array(shifts, dtype=np.float32)[:, None]
    with StateWriter(folder, "r", width, "float32") as writer:
        writer.append("output", 0, 0, places, vectors)
    for layer in range(1, layers):
        (folder / f"kind=output/layer={layer}").symlink_to("layer=0", target_is_directory=True)
    surprisals = ((place, value) for place, value in zip(places, rng.random(len(places)), strict=True))
    columns = [
        {"run": "r", "example_id": place.example_id, "position": place.position, "surprisal": float(value)}
        for place, value in surprisals
    ]
    schemas.write(folder / SURPRISALS, schemas.SURPRISALS, columns)
    facts = {"layers": list(range(layers)), "final_norm_layer": layers - 1}
    (folder / "states.json").write_text(json.dumps(facts))


def refitting(found: Statements, permutations: int) -> float:
    """Return the processor seconds that one permutation of one layer takes when both linear directions are refitted."""
    train, test = found.where("train"), found.where("test")
    vectors = found.vectors(0)
    seen, unseen = (found.represented(vectors, rows, "last").astype(np.float64) for rows in (train, test))
    labels, truth, rng = found.labels(train), found.labels(test), np.random.default_rng(0)
    start = time.process_time()
    for _ in range(permutations):
        shuffled = rng.permutation(labels)
        training = Training.of(seen)
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(training.vectors, shuffled)
        means = training.vectors[shuffled == 1].mean(axis=0) - training.vectors[shuffled == 0].mean(axis=0)
        auroc(unseen @ np.stack([model.coef_[0], means], axis=1), truth)
    return (time.process_time() - start) / permutations


def main() -> None:
    """Print one row for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=["small", "large"])
    parser.add_argument("--permutations", type=int, default=999)
    parser.add_argument("--refits", type=int, default=3, help="permutations that are refitted one by one")
    parser.add_argument("--fill", action="store_true", help="write the table into docs/benchmarks.md")
    arguments = parser.parse_args()
    lines = [
        "| statements | layers | width | B | all probes, s | peak, MB | one layer's nulls by refitting, s | ratio |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    print("\n".join(lines), flush=True)
    for name in arguments.sizes:
        count, layers, width = SIZES[name]
        with tempfile.TemporaryDirectory() as temporary:
            rows, folder = statements(count), Path(temporary)
            store(folder, rows, layers, width)
            start = time.process_time()
            found = TruthDirection(TruthSettings(permutations=arguments.permutations)).fit(folder, rows)
            for table in found.values():
                list(table)
            spent = time.process_time() - start
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            slow = refitting(Statements.of(rows, folder), arguments.refits) * arguments.permutations
        cells = [
            count,
            layers,
            width,
            arguments.permutations,
            f"{spent:.1f}",
            f"{peak:.0f}",
            f"{slow:.1f}",
            f"{slow * layers / spent:.0f}",
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
        print(lines[-1], flush=True)
    if arguments.fill:
        fill("probes", "\n".join(lines))


if __name__ == "__main__":
    main()
