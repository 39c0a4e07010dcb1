"""Statements with made-up hidden states: who said what is true is planted, or is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from thoughtscope import schemas
from thoughtscope.hidden_states.write import SURPRISALS, Position, StateWriter
from thoughtscope.probes.settings import TruthSettings
from thoughtscope.probes.statements import Statements
from thoughtscope.probes.truth_direction import TruthDirection

WIDTH, RUN = 8, "facts/b/none/full/seed0"
PREDICATES = [" ".join(f"w{k}-{t}" for t in range(4)) for k in range(5)]
Row = dict[str, Any]


def statement(row_id: str, split: str, subject: str, said: str, label: int | None, **other: Any) -> Row:
    """Return a row of `schemas.STATEMENTS`; its response is the subject, `is`, and what is said."""
    row = {"example_id": row_id, "split": split, "subject": subject, "response": f"{subject} is {said}", "label": label}
    return {"attribute": "a", "negated": False, "question": f"Who is {subject}?", **row, **other}


def world(train: int = 30, test: int = 20, negated: bool = False) -> list[Row]:
    """Return a true and a false statement of each subject; every predicate is as often true as false in a split."""
    rows = []
    for split, size in (("train", train), ("test", test)):
        for number in range(size):
            for turned in (False, True) if negated else (False,):
                for label in (1, 0):
                    said = PREDICATES[(number + 1 - label) % len(PREDICATES)]
                    name = f"{split}{number:02d}"
                    row_id = f"{name}-{int(turned)}{'ft'[label]}"
                    rows.append(statement(row_id, split, name, f"{'not ' * turned}{said}", label, negated=turned))
    rows += [statement(f"c{k}", "calibration", f"c{k}", PREDICATES[k % len(PREDICATES)], None) for k in range(5)]
    return [*rows, *(statement(f"d{label}", "display", "shown", PREDICATES[label], label) for label in (0, 1))]


def store(
    folder: Path,
    rows: list[Row],
    shifts: dict[int, Callable[[Row, int, int], Any]],
    surprisal: Callable[[Row], float] = lambda row: 1.0,
    seed: int = 0,
) -> Statements:
    """Store noise of each layer, shifted by what its function says of (row, position, distance from the end)."""
    rng = np.random.default_rng(seed)
    places, about = [], []
    for row in rows:
        words = row["response"].split(" ")
        for t, word in enumerate(words):
            places.append(Position(row["example_id"], 5 + t, None, t, word))
            about.append((row, t, len(words) - 1 - t))
    with StateWriter(folder, RUN, WIDTH, "float32") as writer:
        for layer, shift in shifts.items():
            vectors = rng.standard_normal((len(places), WIDTH)) + np.array([shift(*one) for one in about])
            writer.append("output", layer, 0, places, vectors)
    values = [surprisal(row) + 0.1 * noise for (row, _, _), noise in zip(about, rng.random(len(about)), strict=True)]
    columns = [
        {"run": RUN, "example_id": place.example_id, "position": place.position, "surprisal": value}
        for place, value in zip(places, values, strict=True)
    ]
    schemas.write(folder / SURPRISALS, schemas.SURPRISALS, columns)
    (folder / "states.json").write_text(json.dumps({"layers": sorted(shifts), "final_norm_layer": max(shifts)}))
    return Statements.of(rows, folder)


def nothing(row: Row, position: int, distance: int) -> np.ndarray:
    """Shift nothing."""
    return np.zeros(WIDTH)


def truth(entry: int = 3, size: float = 4.0, last_only: bool = False) -> Callable[[Row, int, int], np.ndarray]:
    """Return a shift of true statements along one entry, at what is said (after the subject and `is`)."""

    def shift(row: Row, position: int, distance: int) -> np.ndarray:
        found = np.zeros(WIDTH)
        if position >= 2 and (distance == 0 or not last_only):
            found[entry] = size * (0.5 if row["label"] is None else row["label"])
        return found

    return shift


def fitted(statements: Statements, settings: TruthSettings) -> dict[str, pd.DataFrame]:
    """Return the tables of truth directions fitted to every layer that is stored."""
    tables = TruthDirection(settings).fit(statements.folder, statements.rows.to_dict("records"))
    return {name: pd.DataFrame(rows) for name, rows in tables.items()}
