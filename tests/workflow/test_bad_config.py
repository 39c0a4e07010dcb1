"""Mistakes in the config end the workflow while it is parsed: one line with file, key and fix, nothing deleted."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from .conftest import Workspace


def edit(workspace: Workspace, path: str, change: dict[str, Any]) -> None:
    file = workspace.folder / path
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **change}))


@pytest.mark.parametrize(
    ("path", "change", "expected"),
    [
        ("config/smoke.yaml", {"trainning": {}}, "trainning: unknown key"),
        ("config/tasks/chain.yaml", {"operations": "three"}, "config/tasks/chain.yaml: operations"),
    ],
)
def test_a_mistake_is_one_line_and_deletes_nothing(
    workspace: Workspace, path: str, change: dict[str, Any], expected: str
) -> None:
    kept = workspace.folder / "results/tables/summary.csv"
    kept.parent.mkdir(parents=True)
    kept.write_text("kept\n")
    edit(workspace, path, change)
    done = workspace.snakemake("--cores", "1", "--configfile", "config/smoke.yaml", check=False)
    lines = [line for line in done.stdout.splitlines() if "error: " in line]
    assert done.returncode != 0
    assert len(lines) == 1, done.stdout
    assert expected in lines[0]
    assert kept.read_text() == "kept\n"
