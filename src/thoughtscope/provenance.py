"""What made an artifact: stage, settings, sources, versions, hardware and times. Never an input of anything.

Also walks the import closure of a stage, so that a digest of its sources says when its result may change.
"""

from __future__ import annotations

import argparse
import ast
import datetime
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from thoughtscope.errors import UserError

PACKAGE = "thoughtscope"
# they say, note and count, or start processes; no result holds their work
BESIDE = frozenset(
    {"errors", "provenance", "training.report", "training.status"}
    | {f"launch{module}" for module in ("", ".run", ".slurm", ".supervise", ".torchrun")}
)
EXACT = frozenset({"prepare_task"})  # no floating point, so the same everywhere
LOCK = Path("envs/requirements.lock")
_STARTED = datetime.datetime.now(datetime.UTC)
_NOTED = (
    *("torch", "transformers", "tokenizers", "safetensors", "Jinja2", "deepspeed", "peft", "datasets"),
    *("scikit-learn", "scipy", "pandas", "pyarrow", "matplotlib", "numpy"),
)


def record(stage: str, settings: Any, told: argparse.Namespace | None = None, **facts: Any) -> dict[str, Any]:
    """Return the provenance of an artifact that `stage` makes now from `settings`.

    Args:
        told: the program's options, for what `add_options` added.
        facts: anything else worth keeping: the digests of `inputs`, the number of ranks, the seed.
    """
    return {
        "stage": stage,
        "settings": settings,
        "sources": told.sources if told else {},
        "pins": told.pins if told else {},
        "versions": {"python": platform.python_version(), **versions(_NOTED)},
        "git_revision": _git_revision(),
        "hardware": _hardware(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "on_another_machine": "the same" if stage in EXACT else "rounded otherwise",
        "started": _STARTED.isoformat(timespec="seconds"),
        **facts,
    }


def _hardware() -> dict[str, Any]:
    """Return the machine: kind, processor, system, and the graphics cards that this process uses."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    processor = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), None)
    facts = {"machine": platform.machine(), "cpus": os.cpu_count(), "system": platform.system(), "processor": processor}
    torch = sys.modules.get("torch")
    cards = torch.cuda if torch is not None and torch.cuda.is_available() else None
    return facts | ({"gpus": [cards.get_device_name(i) for i in range(cards.device_count())]} if cards else {})


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the installed version of each package, leaving out those that are not installed."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def digest(value: Any) -> str:
    """Return 16 hexadecimal digits that identify a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options by which the workflow tells a program from which sources and packages it took it to be made."""
    told = "JSON: for each %s; kept in the provenance"
    parser.add_argument("--sources", type=json.loads, default={}, help=told % "module that it imports, its digest")
    parser.add_argument(
        "--pins", type=json.loads, default={}, help=told % "package that can change the result, its pin"
    )


def sources(roots: Iterable[str | Path]) -> dict[str, str]:
    """Return a digest of each source that `roots` (modules or program files) import inside the package, by name.

    They are made from syntax trees without docstrings, so comments, docstrings and formatting do not change them.
    Modules of the package are named without its name; those of `BESIDE` are left out.
    """
    found = {name.removeprefix(f"{PACKAGE}."): path for name, path in sorted(stage_sources(roots).items())}
    return {name: _code_digest(path) for name, path in found.items() if name not in BESIDE}


def stage_sources(roots: Iterable[str | Path]) -> dict[str, Path]:
    """Return every module of the package that `roots` import, directly or not, with its file; program files too."""
    found: dict[str, Path] = {}
    waiting = list(roots)
    while waiting:
        root = waiting.pop()
        name = root.name if isinstance(root, Path) else root
        path = root if isinstance(root, Path) else module_file(root)
        if name in found or path is None:
            continue
        found[name] = path
        waiting += [module for module in _imports(path) if module_file(module) is not None]
    return found


@functools.cache
def module_file(module: str) -> Path | None:
    """Return the file of a module of the package, or None if there is no such module."""
    here = Path(__file__).parent
    path = here.joinpath(*module.split(".")[1:])
    if module.split(".")[0] != PACKAGE:
        return None
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    return path / "__init__.py" if (path / "__init__.py").is_file() else None


@functools.cache
def _imports(path: Path) -> tuple[str, ...]:
    """Return the dotted names that a file imports from the package, parents included."""
    names: set[str] = set()
    for node in _that_run(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    inside = {name for name in names if name.split(".")[0] == PACKAGE}
    parents = {".".join(name.split(".")[:k]) for name in inside for k in range(2, name.count(".") + 1)}
    return tuple(sorted(inside | parents))


def _that_run(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield every node of a file but those below `if TYPE_CHECKING:`, which only types need."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


@functools.cache
def _code_digest(path: Path) -> str:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            node.body = body[1:] if ast.get_docstring(node) is not None else body
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:12]


def _git_revision() -> str | None:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def pins(*packages: str) -> dict[str, str]:
    """Return the pinned version of each package, from `envs/requirements.lock`.

    Raises:
        UserError: a package is not in the lock.
    """
    lock = _lock()
    missing = [package for package in packages if package not in lock]
    if missing:
        raise UserError(str(LOCK), f"{missing[0]} is not pinned", "resolve the lock anew: make lock")
    return {package: lock[package] for package in packages}


@functools.cache
def _lock() -> dict[str, str]:
    lines = [line for line in LOCK.read_text().splitlines() if "==" in line and line[0] != "#"]
    return {package: version.split()[0] for package, version in (line.split("==", 1) for line in lines)}
