"""The curves, surfaces and records of the page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thoughtscope.errors import UserError
from thoughtscope.figures.activity import READ, ActivitySettings, grids
from thoughtscope.figures.base import Figure, frame
from thoughtscope.tables.base import Table
from thoughtscope.tables.identity import run_of
from thoughtscope.tables.measurements import read_accuracy, read_schedule

Json = dict[str, Any]


def accuracy_curves(runs: Sequence[Path]) -> list[Json]:
    """Return each run's accuracy on test questions while it trained, with its stages."""
    found = []
    for folder in runs:
        rows, schedule = read_accuracy(folder), read_schedule(folder)
        numbers = {name: rows[name].round(4).tolist() for name in ("step", "accuracy", "ci_low", "ci_high")}
        stages = [{key: one[key] for key in ("name", "first_step", "last_step")} for one in schedule["stages"]]
        found.append({**run_of(folder).columns, **numbers, "stages": stages})
    return found


def activity_surfaces(probes: Sequence[Path]) -> list[Json]:
    """Return the scores of each displayed pair of responses, for both fits of the whitened direction."""
    found: list[Json] = []
    for folder in probes:
        path = folder / "tables/activity.parquet"
        if not path.is_file():
            continue
        rows = frame([path], READ)
        for question in rows["question"].unique():
            try:
                both, _ = grids(rows, ActivitySettings(question=str(question)))
            except UserError:  # a question with one response has no pair
                continue
            found += [
                {
                    "name": f"{one.name}: {one.response}",
                    "question": one.question,
                    "truth": one.truth,
                    "layers": one.layers.tolist(),
                    "tokens": one.tokens,
                    "scores": one.scores.round(3).tolist(),
                    "readable": one.readable.tolist(),
                }
                for one in both
            ]
    return found


def records(files: Sequence[Path]) -> list[Json]:
    """Return where each figure and table comes from: its caption, inputs, settings, versions and hardware."""
    found = []
    for file in files:
        record = json.loads(file.read_text())
        name = file.name.removesuffix(".provenance.json")
        facts = {
            key: record.get(key) for key in ("stage", "inputs", "settings", "versions", "git_revision", "hardware")
        }
        group, kind = file.parent.name, str(record["settings"]["kind"])
        base: type[Figure] | type[Table] = Figure if group == "figures" else Table
        about = {"name": name, "group": group, "caption": base.find(kind, name).caption()}
        found.append({**about, "finished": record.get("finished"), "record": facts})
    return found
