"""The code and packages that can change the result of a program.

Both follow from the library modules that the program imports, directly or indirectly. The digest of a module is of its
syntax tree without docstrings and captions: they, comments and formatting do not change it. A module that cannot
change a result states `AFFECTS_RESULTS = False` and is left out.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import thoughtscope
from thoughtscope.errors import UserError

PACKAGE = thoughtscope.__name__
SCRIPTS = Path("workflow/scripts")
LOCK = Path("envs/requirements.lock")
EXEMPT, CAPTION = "AFFECTS_RESULTS", "CAPTION"
# They validate settings, print, download at a pinned revision, or store values unchanged.
HARMLESS = frozenset({"datasets", "httpx2", "huggingface-hub", "psutil", "pyarrow", "pydantic", "pyyaml", "rich"})
# Packages whose modules have other names.
DISTRIBUTIONS = {"sklearn": "scikit-learn", "mpl_toolkits": "matplotlib", "PIL": "pillow", "yaml": "pyyaml"}
# Packages that do part of the work of another.
PARTS = {"transformers": ("jinja2", "safetensors", "tokenizers")}


@dataclass(frozen=True)
class Source:
    """A file of code.

    Attributes:
        imports: dotted names that it imports, except for type checking.
        digest: of its syntax tree without docstrings.
        affects_results: false if the file states `AFFECTS_RESULTS = False`.
    """

    imports: frozenset[str]
    digest: str
    affects_results: bool


@functools.cache
def sources(program: str, *modules: str) -> dict[str, str]:
    """Return a digest of each source that can change the result of a program, by name.

    Args:
        program: its file in `workflow/scripts`.
        modules: dotted names of modules that it starts as processes, or imports because its settings name them.

    Returns:
        the digest of the program file and of every module of the library that it imports, directly or not; modules are
        named without the library's name.
    """
    found = {name.removeprefix(f"{PACKAGE}."): read(path) for name, path in closure(program, *modules).items()}
    return {name: source.digest for name, source in sorted(found.items()) if source.affects_results}


@functools.cache
def pins(program: str, *modules: str) -> dict[str, str]:
    """Return the pinned version of each package that the code of a program imports, except `HARMLESS` ones.

    Raises:
        UserError: a package is not in the lock.
    """
    files = [source for path in closure(program, *modules).values() if (source := read(path)).affects_results]
    packages = sorted({package for source in files for package in _packages(source)} - HARMLESS)
    if missing := [package for package in packages if package not in _lock()]:
        raise UserError(str(LOCK), f"{missing[0]} is not pinned", "resolve the lock again: make lock")
    return {package: _lock()[package] for package in packages}


@functools.cache
def closure(program: str, *modules: str) -> dict[str, Path]:
    """Return the file of a program and of every module of the library that it imports, directly or not, by name."""
    found = {program: SCRIPTS / program}
    waiting = [*modules, *_inside(read(found[program]))]
    while waiting:
        name = waiting.pop()
        path = module_file(name)
        if name not in found and path is not None:
            found[name] = path
            waiting += _inside(read(path))
    return found


@functools.cache
def module_file(module: str) -> Path | None:
    """Return the file of a module of the library, or None if there is no such module; None for the library itself."""
    first, *rest = module.split(".")
    path = Path(thoughtscope.__path__[0]).joinpath(*rest)
    files = [path.with_suffix(".py"), path / "__init__.py"] if first == PACKAGE and rest else []
    return next((file for file in files if file.is_file()), None)


@functools.cache
def read(path: Path) -> Source:
    """Read a file of code."""
    tree = ast.parse(path.read_text())
    imports, affects_results = frozenset(_imported(tree)), not any(_exempts(node) for node in tree.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            told = node.body[1:] if ast.get_docstring(node) is not None else node.body
            node.body = [one for one in told if _constant(one, CAPTION) is None]
    return Source(imports, hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:12], affects_results)


def _exempts(node: ast.stmt) -> bool:
    """Return whether a statement is `AFFECTS_RESULTS = False`."""
    return _constant(node, EXEMPT) is False


def _constant(node: ast.stmt, name: str) -> Any:
    """Return the constant that a statement gives to a name; None if it does something else."""
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Constant):
        return None
    names = [target.id for target in node.targets if isinstance(target, ast.Name)]
    return node.value.value if names == [name] else None


def _imported(tree: ast.AST) -> Iterator[str]:
    """Yield every dotted name that a file imports, except for type checking."""
    for node in _that_run(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _that_run(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield every node of a file except those below `if TYPE_CHECKING:`."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def _inside(source: Source) -> set[str]:
    """Return the names below the library that a file imports, their parents included; some may be no module."""
    inside = [name.split(".") for name in source.imports if name.startswith(f"{PACKAGE}.")]
    return {".".join(parts[:k]) for parts in inside for k in range(2, len(parts) + 1)}


def _packages(source: Source) -> Iterator[str]:
    """Yield the packages that a file imports, and those that do part of their work, by their names in the lock."""
    for top in {name.split(".")[0] for name in source.imports} - {PACKAGE}:
        if top not in sys.stdlib_module_names:
            package = _normal(DISTRIBUTIONS.get(top, top))
            yield from (package, *PARTS.get(package, ()))


def _normal(package: str) -> str:
    return package.lower().replace("_", "-")


@functools.cache
def _lock() -> dict[str, str]:
    lines = [line for line in LOCK.read_text().splitlines() if "==" in line and line[0] != "#"]
    pairs = (line.split("==", 1) for line in lines)
    return {_normal(package): version.split()[0] for package, version in pairs}
