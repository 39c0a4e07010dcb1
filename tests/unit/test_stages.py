"""Each stage names the packages that can change its result: those that its code imports, but a few."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
import yaml

from thoughtscope.config.load import Study
from thoughtscope.config.run import Run
from thoughtscope.config.slices import method_modules
from thoughtscope.plugins import LATENTS, kinds, module_name
from thoughtscope.provenance import BESIDE, PACKAGE, stage_sources
from thoughtscope.stages import SCRIPTS, STAGES

ROOT = Path(__file__).parents[2]
PLUGINS = {"prepare_task": "tasks", "train": "methods", "extract_latents": "methods", "figure": "figures"}
NAMES = {"sklearn": "scikit-learn", "jinja2": "Jinja2", "mpl_toolkits": "matplotlib"}
# They check, print, download at a pinned revision, or store values as they are.
HARMLESS = {"datasets", "pydantic", "yaml", "rich", "httpx2", "huggingface_hub", "pyarrow", "psutil"}
# Beside the stage's result: intervals around the accuracies that are measured, frames that are only read.
BESIDE_THE_RESULT = {"train": {"scipy"}, "extract_latents": {"scipy", "pandas"}}
BESIDE_THE_RESULT["extract_statements"] = BESIDE_THE_RESULT["extract_latents"]


def closure(name: str) -> dict[str, Path]:
    stage, group = STAGES[name], PLUGINS.get(name)
    plugins = [module_name(group, kind) for kind in kinds(group)] if group else []
    return stage_sources(
        [ROOT / SCRIPTS / stage.program, *stage.modules, *plugins, *([LATENTS] if group == "methods" else [])]
    )


def third_party(name: str) -> set[str]:
    found: set[str] = set()
    for path in closure(name).values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                found.add(node.module.split(".")[0])
    outside = found - set(sys.stdlib_module_names) - {PACKAGE}
    return {NAMES.get(package, package) for package in outside}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_names_every_package_that_its_code_imports_and_that_can_change_its_result(name: str) -> None:
    assert third_party(name) - HARMLESS - BESIDE_THE_RESULT.get(name, set()) <= set(STAGES[name].packages)


def test_every_program_is_a_stage_and_every_package_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert {stage.program for stage in STAGES.values()} == {path.name for path in SCRIPTS.glob("*.py")}
    assert all(set(stage.pins()) == set(stage.packages) for stage in STAGES.values())


def test_modules_beside_the_results_exist_and_are_in_no_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert {f"{PACKAGE}.{name}" for name in BESIDE} <= set(closure("train"))
    assert not any(BESIDE & set(stage.sources()) for stage in STAGES.values())


def test_only_methods_with_latents_depend_on_what_fills_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    study = Study(yaml.safe_load(Path("config/config.yaml").read_text()), Path("config"))
    with_latents = {}
    for path in sorted(Path("config/methods").glob("*.yaml")):
        run = Run("chain", "qwen3", path.stem, "live", 0)
        sources = STAGES["train"].sources(*method_modules(study, run))
        assert {"latents.passes", "latents.generate", "training.run"} <= set(sources)
        with_latents[path.stem] = {"latents.fill", "latents.forward"} <= set(sources)
    assert not any(with_latents[name] for name in ("cot", "no-cot", "icot"))
    assert all(with_latents[name] for name in ("coconut", "pause", "lt-tuning"))
    for stage in ("build_backbone", "extract_statements"):
        assert not {"latents.fill", "latents.forward"} & set(STAGES[stage].sources())
