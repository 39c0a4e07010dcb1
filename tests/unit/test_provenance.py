"""A stage's digest changes exactly when code that it imports changes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from thoughtscope import provenance
from thoughtscope.artifacts import artifact_folder, sha256
from thoughtscope.errors import UserError
from thoughtscope.provenance import digest, pins, sources, stage_sources

ROOT = Path(__file__).parents[2]


def test_a_comment_a_docstring_and_formatting_change_nothing(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "program.py", tmp_path / "b" / "program.py"
    for path in (first, second):
        path.parent.mkdir()
    first.write_text('"""One."""\nimport thoughtscope.errors\n\ndef f(x):\n    """Say."""\n    return x + 1\n')
    second.write_text("import thoughtscope.errors  # why\n\n\ndef f(x):\n    return (x\n            + 1)\n")
    assert sources([first]) == sources([second])


def test_a_change_of_code_changes_the_digest(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "program.py", tmp_path / "b" / "program.py"
    for path, code in ((first, "x = 1\n"), (second, "x = 2\n")):
        path.parent.mkdir()
        path.write_text(code)
    assert sources([first]) != sources([second])


@pytest.mark.parametrize(
    ("program", "extra"),
    [
        ("prepare_task.py", ["thoughtscope.tasks.chain"]),
        ("draw_figure.py", ["thoughtscope.figures.latent_scatter"]),
        ("fit_truth_probes.py", []),
    ],
)
def test_the_closure_holds_everything_that_a_stage_really_imports(program: str, extra: list[str]) -> None:
    path = ROOT / "workflow/scripts" / program
    code = (
        "import runpy, sys\n"
        f"runpy.run_path({str(path)!r}, run_name='imported')\n"
        f"[__import__(name) for name in {extra!r}]\n"
        "print(*sorted(m for m in sys.modules if m.split('.')[0] == 'thoughtscope'))"
    )
    really = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    closure = set(stage_sources([path, *extra]))
    assert set(really) - {"thoughtscope"} <= closure


def test_figures_do_not_depend_on_training_and_training_not_on_figures() -> None:
    draw = set(stage_sources([ROOT / "workflow/scripts/draw_figure.py", "thoughtscope.figures.latent_scatter"]))
    assert not [name for name in draw if name.startswith(("thoughtscope.training", "thoughtscope.latents"))]
    train = set(stage_sources([ROOT / "workflow/scripts/train.py", "thoughtscope.training.worker"]))
    assert not [name for name in train if name.startswith("thoughtscope.figures")]


def test_the_digest_of_settings_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_a_package_that_is_not_pinned_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert set(pins("torch")) == {"torch"}
    with pytest.raises(UserError, match="no-such-package is not pinned"):
        pins("no-such-package")


def test_a_record_names_stage_settings_versions_and_times(tmp_path: Path) -> None:
    facts = provenance.record("train", {"a": 1}, seed=3)
    assert facts["stage"] == "train"
    assert facts["settings"] == {"a": 1}
    assert facts["seed"] == 3
    assert "torch" in facts["versions"]
    with artifact_folder(tmp_path / "run", facts):
        pass
    written = json.loads((tmp_path / "run/provenance.json").read_text())
    assert written["started"] <= written["finished"]
    assert written["manifest"] == sha256(tmp_path / "run/manifest.json")
