"""Provenance says what made an artifact."""

from __future__ import annotations

import json
from pathlib import Path

from thoughtscope.artifacts import artifact_folder, digest, sha256
from thoughtscope.provenance import record


def test_the_digest_of_settings_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_a_record_names_program_settings_code_versions_and_times(tmp_path: Path) -> None:
    given = {"training": {"updates": 1}, "sources": {"train.py": "ab"}, "pins": {"torch": "2.13.0"}}
    facts = record("train", given, seed=3)
    assert (facts["stage"], facts["settings"], facts["seed"]) == ("train", {"training": {"updates": 1}}, 3)
    assert (facts["sources"], facts["pins"]) == ({"train.py": "ab"}, {"torch": "2.13.0"})
    assert "torch" in facts["versions"]
    with artifact_folder(tmp_path / "run", facts):
        pass
    written = json.loads((tmp_path / "run/provenance.json").read_text())
    assert written["started"] <= written["finished"]
    assert written["manifest"] == sha256(tmp_path / "run/manifest.json")
