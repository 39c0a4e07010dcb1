"""What is generated or repeated in the repository stays true: pins, the config's reference, the layering."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace
from pathlib import Path

import yaml

from thoughtscope.config.load import Study
from thoughtscope.config.reference import reference, schema, with_reference
from thoughtscope.config.run_settings import run_settings

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src/thoughtscope"


def pinned(text: str) -> dict[str, str]:
    return {name.lower(): version for name, version in re.findall(r"^\s*-?\s*([\w.-]+)==([\w.]+)", text, re.M)}


LOCK = pinned((ROOT / "envs/requirements.lock").read_text())


def test_environment_files_pin_what_the_lock_pins() -> None:
    files = sorted((ROOT / "envs").glob("*.yaml"))
    assert [file.stem for file in files] == ["analysis", "training", "workflow"]
    for file in files:
        pins = pinned(file.read_text())
        assert pins
        assert {name: LOCK[name] for name in pins} == pins


def test_everything_asked_for_is_in_the_lock_at_the_version_asked_for() -> None:
    for name in ("requirements.in", "requirements-dev.in"):
        for line in (ROOT / "envs" / name).read_text().splitlines():
            package, _, version = line.partition("==")
            if package and not package.startswith("#"):
                assert package.lower() in LOCK
                assert not version or LOCK[package.lower()] == version


def test_every_rule_names_an_environment_that_exists() -> None:
    named = {
        match
        for file in (ROOT / "workflow/rules").glob("*.smk")
        for match in re.findall(r'conda:\s*"\.\./\.\./(envs/\w+\.yaml)"', file.read_text())
    }
    assert named == {f"envs/{name}.yaml" for name in ("analysis", "training", "workflow")}
    assert all((ROOT / name).is_file() for name in named)


def test_the_reference_of_the_config_is_current() -> None:
    readme = (ROOT / "config/README.md").read_text()
    assert reference().strip()
    assert with_reference(readme) == readme, "run make docs"
    assert json.loads((ROOT / "config/schema.json").read_text()) == json.loads(json.dumps(schema())), "run make docs"


def test_every_main_config_is_valid_and_names_existing_files() -> None:
    for names in (["config.yaml"], ["smoke.yaml"], ["config.yaml", "seeds.yaml"]):
        assert Study.read([ROOT / "config" / name for name in names], ROOT / "config").runs


def test_five_seeds_of_the_default_are_its_runs_and_no_others() -> None:
    default = Study.read([ROOT / "config/config.yaml"], ROOT / "config")
    seeds = Study.read([ROOT / "config/config.yaml", ROOT / "config/seeds.yaml"], ROOT / "config")
    assert set(seeds.runs) == {replace(run, seed=seed) for run in default.runs for seed in range(5)}
    for run in default.runs:
        assert run_settings(seeds, run) == run_settings(default, run), "what the default trained is not trained again"


def test_every_small_file_is_valid() -> None:
    base = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    study = Study(base, ROOT / "config")
    for group in ("tasks", "methods", "backbones", "deepspeed"):
        for file in (ROOT / "config" / group).glob("*.yaml"):
            getattr(study, group if group == "deepspeed" else group.removesuffix("s"))(file.stem)


def test_the_library_imports_nothing_dynamically_but_plug_ins() -> None:
    for file in PACKAGE.rglob("*.py"):
        if file.name in {"plugins.py", "kind.py"}:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            assert not {"importlib", "import_module"} & set(names), file
            assert not (isinstance(node, ast.Name) and node.id == "__import__"), file


def test_the_library_knows_neither_snakemake_nor_its_files_and_rules() -> None:
    rules = {rule for file in (ROOT / "workflow/rules").glob("*.smk") for rule in _rules(file)}
    assert {"prepare_task", "train", "figure"} <= rules
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text()
        assert not re.search(r"snakemake|snakefile|\.smk\b|\bworkflow[/.]\w", text, re.I), file
        tree = ast.parse(text)
        strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and type(node.value) is str}
        defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        named = {rule for rule in rules if "_" in rule and any(re.search(rf"\b{rule}\b", one) for one in strings)}
        assert named - defined == set(), f"{file} names rules"


def _rules(file: Path) -> list[str]:
    return re.findall(r"^rule (\w+):", file.read_text(), re.M)


def test_each_file_of_rules_starts_with_what_it_reads_and_produces() -> None:
    for file in (ROOT / "workflow/rules").glob("*.smk"):
        head = file.read_text().split('"""')[1]
        assert not _rules(file) or ("\nreads " in head and "\nproduces " in head), file


def test_no_rule_reaches_into_snakemake() -> None:
    for file in [ROOT / "Snakefile", *(ROOT / "workflow").rglob("*.smk"), *(ROOT / "workflow/lib").glob("*.py")]:
        reached = re.findall(
            r"workflow\.(?:dag|persistence|executor_plugin|_\w+)|\._cores|\.snakemake/metadata", file.read_text()
        )
        assert reached == [], file


def test_no_module_is_longer_than_it_can_be_read() -> None:
    long = {str(f): n for f in PACKAGE.rglob("*.py") if (n := len(f.read_text().splitlines())) > 400}
    assert long == {}


def test_the_container_installs_what_the_makefile_installs() -> None:
    def installed(text: str) -> list[str]:
        flags = {"-q", "--disable-pip-version-check", "--no-cache-dir"}
        found = [line.split("install ", 1)[1].rstrip("\\ ") for line in text.splitlines() if "pip install " in line]
        return [" ".join(word for word in one.split() if word not in flags) for one in found]

    assert installed((ROOT / "envs/Dockerfile").read_text()) == installed((ROOT / "Makefile").read_text())


def test_the_latent_mechanism_imports_nothing_of_methods_tasks_or_training() -> None:
    for file in (PACKAGE / "latents").glob("*.py"):
        found = re.findall(r"^\s*from thoughtscope\.(\w+)", file.read_text(), re.M)
        assert set(found) <= {"latents", "errors", "settings"}, file
