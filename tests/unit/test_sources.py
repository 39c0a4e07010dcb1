"""The code and the packages of a program are read from what it imports; what cannot change a result has no digest."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import types
import typing
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from thoughtscope.config.load import Study
from thoughtscope.errors import UserError
from thoughtscope.figures.base import Figure
from thoughtscope.methods.base import BaseMethod
from thoughtscope.plugins import implementation, kinds
from thoughtscope.probes.base import Probe
from thoughtscope.run_id import RunId
from thoughtscope.tables.base import Table
from thoughtscope.tasks.base import BaseTask
from workflow.lib import sources as module
from workflow.lib.sources import closure, module_file, pins, read, sources
from workflow.lib.study_rules import method_modules

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted(path.name for path in (ROOT / "workflow/scripts").glob("*.py"))
WORKER = "thoughtscope.training.worker"
EXEMPT = sorted(path for path in (ROOT / "src/thoughtscope").rglob("*.py") if not read(path).affects_results)


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def dotted(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
    return name.removesuffix(".__init__")


def test_a_comment_a_docstring_and_formatting_change_nothing_and_code_does(tmp_path: Path) -> None:
    texts = {
        "first": '"""One."""\nimport thoughtscope.errors\n\ndef f(x):\n    """Say."""\n    return x + 1\n',
        "reformatted": "import thoughtscope.errors  # why\n\n\ndef f(x):\n    return (x\n            + 1)\n",
        "changed": "import thoughtscope.errors\n\n\ndef f(x):\n    return x + 2\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    first, reformatted, changed = (read(tmp_path / name) for name in texts)
    assert first == reformatted
    assert first.digest != changed.digest


@pytest.mark.parametrize(
    ("program", "extra"),
    [
        ("prepare_task.py", ["thoughtscope.tasks.chain"]),
        ("draw_figure.py", ["thoughtscope.figures.latent_scatter"]),
        ("fit_probe.py", ["thoughtscope.probes.truth_direction"]),
    ],
)
def test_the_closure_holds_everything_that_a_program_really_imports(program: str, extra: list[str]) -> None:
    code = (
        "import runpy, sys\n"
        f"runpy.run_path('workflow/scripts/{program}', run_name='imported')\n"
        f"[__import__(name) for name in {extra!r}]\n"
        "print(*sorted(m for m in sys.modules if m.split('.')[0] == 'thoughtscope'))"
    )
    really = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(really) - {"thoughtscope"} <= set(closure(program, *extra))


def test_figures_do_not_depend_on_training_and_training_not_on_figures() -> None:
    draw = closure("draw_figure.py", "thoughtscope.figures.latent_scatter")
    assert not [name for name in draw if name.startswith(("thoughtscope.training", "thoughtscope.latents"))]
    assert not [name for name in closure("train.py", WORKER) if name.startswith("thoughtscope.figures")]


def test_packages_are_those_that_the_code_imports_and_what_they_hand_work_to() -> None:
    assert {"torch", "deepspeed", "peft", "transformers", "tokenizers", "safetensors"} <= set(pins("train.py", WORKER))
    assert "scipy" in pins("train.py", WORKER), "it measures intervals, which are stored"
    assert set(pins("draw_figure.py", "thoughtscope.figures.latent_scatter")) >= {"matplotlib", "scikit-learn"}
    assert "torch" not in pins("fit_probe.py", "thoughtscope.probes.intermediate_value")
    assert not {"pydantic", "pyyaml", "rich"} & set(pins("train.py", WORKER)), "they change no result"


def test_every_package_of_every_program_is_pinned_and_one_that_is_not_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins = [implementation(base, kind, "test").__module__ for base in (BaseTask, BaseMethod) for kind in kinds(base)]
    plugins += [kind.__module__ for base in (Probe, Table, Figure) for kind in base.all().values()]
    for program in PROGRAMS:
        assert all(version[0].isdigit() for version in pins(program, WORKER, *plugins).values())
    (tmp_path / "own.py").write_text("import no_such_package\n")
    monkeypatch.setattr(module, "SCRIPTS", tmp_path)
    with pytest.raises(UserError, match=r"requirements.lock: no-such-package is not pinned; resolve the lock again"):
        pins("own.py")


def test_a_run_depends_on_its_kinds_of_fill_alone() -> None:
    study = Study(yaml.safe_load(Path("config/config.yaml").read_text()), Path("config"))
    fills = {}
    for path in sorted(Path("config/methods").glob("*.yaml")):
        run = RunId("chain", "qwen3", path.stem, "full", 0)
        found = sources("train.py", WORKER, *method_modules(study, run))
        assert {"latents.forward", "latents.generate", "training.trainer", "latents.fills.base"} <= set(found)
        fills[path.stem] = {name.removeprefix("latents.fills.") for name in found if "fills." in name} - {"base"}
    expected = {"cot": set(), "coconut": {"hidden"}, "pause": {"pause"}, "lt-tuning": {"hidden", "fusion"}}
    assert {name: fills[name] for name in expected} == expected
    used = {"latents.fills.hidden", "latents.fills.fusion"}
    assert used <= set(sources("build_backbone.py")), "it compares the engine with the model, with latents too"


@pytest.mark.parametrize("path", EXEMPT, ids=dotted)
def test_editing_an_exempt_module_changes_no_digest(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {program: sources(program, WORKER) for program in PROGRAMS}
    assert not any(dotted(path).removeprefix("thoughtscope.") in found for found in before.values())
    edited = tmp_path / "edited.py"
    edited.write_text(path.read_text() + "\nADDED = 1\n")
    monkeypatch.setattr(module, "module_file", lambda name: edited if name == dotted(path) else module_file(name))
    for cached in (closure, sources):
        cached.cache_clear()
    assert {program: sources(program, WORKER) for program in PROGRAMS} == before
    for cached in (closure, sources):
        cached.cache_clear()


def test_what_cannot_change_a_result_is_exempt() -> None:
    exempt = {dotted(path).removeprefix("thoughtscope.") for path in EXEMPT}
    said = {"errors", "provenance", "training.events", "training.failure", "training.memory", "training.report"}
    started = {f"launch.{name}" for name in ("leases", "node", "ranks", "run", "signals", "slurm")}
    assert said | started | {"launch.status"} <= exempt


# The one value that an exempt module hands to others: it goes into provenance.json, of which no artifact is made.
PROVENANCE = {("thoughtscope.provenance", "record")}


@pytest.mark.parametrize("path", EXEMPT, ids=dotted)
def test_an_exempt_module_hands_no_value_to_one_that_decides_results(path: Path) -> None:
    name = dotted(path)
    module = import_module(name)
    for user, imported in _imports_from(name):
        where = f"{user} imports {imported} from {name}"
        if (name, imported) not in PROVENANCE:
            assert _gives_nothing(getattr(module, imported)), where


def _imports_from(name: str) -> Iterator[tuple[str, str]]:
    """Yield which library module that decides results imports which name of a module."""
    for path in (ROOT / "src/thoughtscope").rglob("*.py"):
        if read(path).affects_results:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and node.module == name:
                    yield from ((dotted(path), alias.name) for alias in node.names)


def _gives_nothing(found: object) -> bool:
    """Return whether nothing comes back from what was imported.

    Exceptions, constants that name something, functions without a result, context managers that yield nothing, wrappers
    of a main function, and classes whose public methods return nothing.
    """
    if isinstance(found, type) and issubclass(found, BaseException):
        return True
    if isinstance(found, type):
        methods = [value for key, value in vars(found).items() if key[0] != "_" and inspect.isfunction(value)]
        return all(map(_gives_nothing, methods))
    if not callable(found):
        return isinstance(found, str | int)
    result = typing.get_type_hints(found).get("return")
    if typing.get_origin(result) is Iterator:  # of a context manager
        return typing.get_args(result) == (None,)
    return result is types.NoneType or found.__name__ == "one_line_errors"


def test_the_digest_of_a_module_that_only_looks_exempt_counts(tmp_path: Path) -> None:
    for text in ("AFFECTS_RESULTS = True\n", "def f():\n    AFFECTS_RESULTS = False\n", "AFFECTS_RESULTS = 0\n"):
        path = tmp_path / f"{abs(hash(text))}.py"
        path.write_text(text)
        assert read(path).affects_results
