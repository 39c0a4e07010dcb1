"""What differs between an artifact and the one that would be made now is said in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from thoughtscope.artifacts import artifact_folder, sha256
from thoughtscope.upkeep.judge import changes, reasons
from thoughtscope.upkeep.plan import Planned
from thoughtscope.upkeep.why import explain

SETTINGS: dict[str, Any] = {"training": {"optimizer": {"learning_rate": 1e-4, "betas": [0.9, 0.99]}}, "layers": [1, 2]}
SOURCES, PINS = {"train.py": "aa", "latents.fill": "bb"}, {"torch": "2.13.0"}


@pytest.fixture
def run(tmp_path: Path) -> Planned:
    """A run that was just made, and its plan."""
    task, folder = tmp_path / "task", tmp_path / "run"
    with artifact_folder(task, {}) as staging:
        (staging / "rows.txt").write_text("rows")
    inputs = {task.as_posix(): sha256(task / "manifest.json")}
    provenance = {"settings": SETTINGS, "sources": SOURCES, "pins": PINS, "inputs": inputs}
    with artifact_folder(folder, provenance) as staging:
        (staging / "weights.bin").write_bytes(b"0123")
    outputs = (folder / "manifest.json",)
    return Planned("train", "train coconut/qwen3", folder, outputs, SETTINGS, SOURCES, PINS, (task,))


def replanned(run: Planned, **now: Any) -> Planned:
    return Planned(**{**vars(run), **now})


def test_an_artifact_that_would_be_made_the_same_has_no_reason(run: Planned) -> None:
    assert reasons(run, content=True) == []


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (
            {"settings": {**SETTINGS, "training": {"optimizer": {"learning_rate": 2e-4, "betas": [0.9, 0.99]}}}},
            "`training.optimizer.learning_rate` 0.0001 -> 0.0002",
        ),
        ({"settings": {**SETTINGS, "layers": [1, 3]}}, "`layers[1]` 2 -> 3"),
        ({"settings": {**SETTINGS, "layers": [1]}}, "`layers` [1, 2] -> [1]"),
        ({"settings": {**SETTINGS, "frozen": True}}, "`frozen` null -> true"),
        ({"sources": {**SOURCES, "latents.fill": "cc"}}, "the code of latents.fill changed"),
        ({"sources": {**SOURCES, "plugins": "dd"}}, "it now imports plugins"),
        ({"sources": {"train.py": "aa"}}, "it no longer imports latents.fill"),
        ({"pins": {"torch": "2.14.0"}}, "package torch 2.13.0 -> 2.14.0"),
        ({"inputs": ()}, "it is no longer made from {task}"),
    ],
)
def test_each_kind_of_change_is_named(run: Planned, now: dict[str, Any], words: str) -> None:
    assert reasons(replanned(run, **now)) == [words.format(task=run.inputs[0])]


def test_an_input_that_was_made_anew_with_other_content_is_named(run: Planned) -> None:
    with artifact_folder(run.inputs[0], {}) as staging:
        (staging / "rows.txt").write_text("other rows")
    assert reasons(run) == [f"{run.inputs[0]} has other content than what it was made from"]


def test_damage_is_named_and_equal_size_only_when_content_is_asked_for(run: Planned) -> None:
    (run.path / "weights.bin").write_bytes(b"012X")
    assert reasons(run) == []
    assert reasons(run, content=True) == ["weights.bin was altered: as long as before, with other content"]
    (run.path / "weights.bin").unlink()
    assert reasons(run) == ["weights.bin was deleted"]
    run.record.unlink()
    assert "nobody knows what it was made from" in reasons(run)[0]
    (run.path / "manifest.json").unlink()
    assert reasons(run) == ["not made yet"]


def test_stages_that_only_follow_are_listed_in_one_line(run: Planned, tmp_path: Path) -> None:
    changed = replanned(run, settings={**SETTINGS, "layers": None})
    outputs = (tmp_path / "summary.csv",)
    table = Planned("table", "table summary", tmp_path / "summary", outputs, {}, {}, {}, (run.path,))
    outputs[0].write_text("a\n")
    provenance = {"settings": {}, "inputs": {run.path.as_posix(): sha256(run.path / "manifest.json")}}
    table.record.write_text(json.dumps({**provenance, "sources": {"x": "y"}, "files": {}}))
    table = replanned(table, sources={"x": "y"})
    said = list(explain([changed, table], {run.outputs[0]: "params changed", outputs[0]: "ok"}, {}))
    assert said == ["train coconut/qwen3: `layers` [1, 2] -> null", "because of that also: table summary"]
    assert list(explain([changed, table], {}, {})) == []


def test_a_reason_that_only_snakemake_knows_is_handed_on(run: Planned) -> None:
    said = list(explain([run], {run.outputs[0]: "code changed"}, {}))
    assert said == ["train coconut/qwen3: Snakemake says: code changed"]


def test_equal_values_have_no_changes() -> None:
    assert changes(SETTINGS, json.loads(json.dumps(SETTINGS))) == []
