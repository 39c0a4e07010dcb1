"""What was made elsewhere is adopted only if it and all it is made from hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from thoughtscope.artifacts import artifact_folder, sha256
from thoughtscope.upkeep.adopt import judge
from thoughtscope.upkeep.plan import Planned
from thoughtscope.upkeep.stock import UNRECORDED, distrusted, recorded

SOURCES = {"train.py": "aa"}


def made(rule: str, label: str, folder: Path, *inputs: Path) -> Planned:
    digests = {path.as_posix(): sha256(path / "manifest.json") for path in inputs}
    with artifact_folder(folder, {"settings": {}, "sources": SOURCES, "pins": {}, "inputs": digests}) as staging:
        (staging / "content.bin").write_bytes(label.encode())
    return Planned(rule, label, folder, (folder / "manifest.json",), {}, SOURCES, {}, inputs)


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Planned]:
    """A task, a run made from it, and another task; Snakemake knows nothing of them."""
    monkeypatch.chdir(tmp_path)
    task = made("prepare_task", "prepare task chain", Path("results/tasks/chain"))
    run = made("train", "train coconut/qwen3", Path("results/runs/a"), task.path)
    return [task, run, made("prepare_task", "prepare task facts", Path("results/tasks/facts"))]


def test_everything_that_is_whole_holds(chain: list[Planned]) -> None:
    assert judge(chain) == (chain, {})


def test_what_does_not_hold_takes_what_is_made_from_it_with_it_and_says_why(chain: list[Planned]) -> None:
    (chain[0].path / "content.bin").write_bytes(b"another task chain")
    holding, wanting = judge(chain)
    assert holding == [chain[2]]
    assert wanting == {
        "prepare task chain": ["content.bin was altered: as long as before, with other content"],
        "train coconut/qwen3": ["prepare task chain does not hold"],
    }


def test_an_altered_manifest_does_not_hold(chain: list[Planned]) -> None:
    manifest = chain[2].path / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    assert judge(chain)[1] == {"prepare task facts": ["manifest.json was altered"]}


def test_without_a_record_or_with_a_damaged_file_nothing_is_trusted(chain: list[Planned]) -> None:
    assert distrusted(chain) == {one.path: UNRECORDED for one in chain}
    for one in chain:
        assert not recorded(one.outputs[0])
    missing = Planned("train", "train b", Path("results/runs/b"), (Path("results/runs/b/manifest.json"),), {}, {}, {})
    assert distrusted([missing]) == {}
