"""What is generated or repeated in the repository stays true: pins, the config's reference, the layering."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
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


def test_everything_asked_for_is_in_the_lock_at_the_version_asked_for() -> None:
    for name in ("requirements.in", "requirements-dev.in"):
        for line in (ROOT / "envs" / name).read_text().splitlines():
            package, _, version = line.partition("==")
            if package and not package.startswith("#"):
                assert package.lower() in LOCK
                assert not version or LOCK[package.lower()] == version


def test_packaged_models_are_locked_in_the_version_that_their_backbones_read() -> None:
    models = pinned((ROOT / "envs/requirements-models.lock").read_text())
    files = [yaml.safe_load(file.read_text()) for file in (ROOT / "config/backbones").glob("*.yaml")]
    assert {raw["package"]: raw["version"] for raw in files if "package" in raw} == models


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


def test_every_module_imports_only_from_layers_below_its_own() -> None:
    done = run("lint-imports", "--no-cache")
    assert done.returncode == 0, done.stdout


def test_snakemake_finds_nothing_to_lint_but_that_the_lock_is_no_conda_environment() -> None:
    done = run("snakemake", "--lint")
    found = {line.strip() for line in done.stdout.splitlines() if line.startswith("    * ")}
    assert found == {"* Specify a conda environment or container for each rule.:"}, done.stdout


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / program), *arguments]
    return subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False
    )


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
