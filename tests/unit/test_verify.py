"""`verify` names exactly what was changed by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from thoughtscope.artifacts import artifact_files, artifact_folder
from workflow.lib.verify import faults


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder with one run, one table and things that are no artifacts."""
    run = tmp_path / "runs/chain/qwen3/coconut/full/seed0"
    with artifact_folder(run, {"stage": "train"}) as folder:
        (folder / "model").mkdir()
        (folder / "model/weights.bin").write_bytes(b"0123456789")
        (folder / "schedule.json").write_text("{}")
    with artifact_files(tmp_path / "tables/summary.csv", provenance={"stage": "make_table"}) as (staged,):
        staged.write_text("a\n1\n")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/manifest.json").write_text("{}")
    return tmp_path


def said(results: Path) -> dict[str, str]:
    return {Path(fault.path).relative_to(results).as_posix(): fault.problem for fault in faults(results)}


RUN = "runs/chain/qwen3/coconut/full/seed0"


def test_what_was_just_made_has_no_fault(results: Path) -> None:
    assert said(results) == {}


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        (f"{RUN}/model/weights.bin", b"012345678X", "altered: as long as before, with other content"),
        (f"{RUN}/model/weights.bin", b"01234", "altered: 5 bytes instead of 10"),
        (f"{RUN}/model/weights.bin", None, "deleted"),
        (f"{RUN}/notes.txt", b"mine", "added: no program wrote it"),
        (f"{RUN}/provenance.json", None, "deleted or unreadable"),
        (f"{RUN}/manifest.json", b"{", "no readable manifest"),
        ("tables/summary.csv", b"a\n2\n", "altered: as long as before, with other content"),
        ("tables/summary.csv", None, "deleted"),
        ("tables/summary.provenance.json", None, "deleted, or never written"),
        ("tables/mine.csv", b"a\n", None),
    ],
)
def test_each_change_by_hand_is_named(results: Path, name: str, content: bytes | None, problem: str | None) -> None:
    path = results / name
    path.unlink() if content is None else path.write_bytes(content)
    expected = {name: problem} if problem else {"tables/mine.provenance.json": "deleted, or never written"}
    assert said(results) == expected


def test_a_manifest_made_to_fit_altered_content_is_found_out(results: Path) -> None:
    manifest = results / RUN / "manifest.json"
    files = json.loads(manifest.read_text())["files"]
    del files["schedule.json"]
    manifest.write_text(json.dumps({"files": files}))
    (results / RUN / "schedule.json").unlink()
    assert set(said(results)) == {f"{RUN}/manifest.json"}


def test_a_manifest_that_is_gone_leaves_a_folder_that_is_no_artifact(results: Path) -> None:
    (results / RUN / "manifest.json").unlink()
    assert said(results) == {f"{RUN}/manifest.json": "deleted, or never written"}
