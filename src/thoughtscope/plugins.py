"""Finds the class of a kind of task, method or fill: `Settings` in the module that is named as the kind.

A new kind is one new module, and no list elsewhere grows. Only this module and `kind` import dynamically: the code that
finds what a program's results depend on follows import statements, so it has to be told the modules of kinds.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any, TypeVar

from thoughtscope.errors import UserError
from thoughtscope.parsing import parse
from thoughtscope.settings import Strict

S = TypeVar("S", bound=Strict)


def implementation(base: type[S], kind: str, where: str) -> type[S]:
    """Import the class `Settings` of a kind.

    Args:
        base: `BaseTask`, `BaseMethod` or `BaseFill`. Kinds are the other modules of its package.
        kind: the name of the module, with dashes for underscores.
        where: the file or key that names the kind, for messages.

    Raises:
        UserError: there is no such kind, or its class lacks something that `base` asks for.
    """
    name = f"{_package(base)}.{kind.replace('-', '_')}"
    if not kind.replace("-", "").isidentifier() or importlib.util.find_spec(name) is None:
        raise UserError(f"{where}: kind", f"no kind {kind!r}", f"use one of {', '.join(kinds(base))}")
    settings = getattr(importlib.import_module(name), "Settings", None)
    if settings is None:
        raise UserError(f"{where}: kind", f"{name} has no Settings", f"add it, or use one of {', '.join(kinds(base))}")
    if missing := _missing(settings, base):
        raise UserError(f"{where}: kind", f"{name} {missing}", f"complete it as {base.__module__} describes")
    found: type[S] = settings
    return found


def read_settings(base: type[S], raw: Mapping[str, Any], where: str, commits: Mapping[str, str] | None = None) -> S:
    """Validate the content of a task or method file with the class of its `kind`.

    Args:
        base: `BaseTask` or `BaseMethod`.
        where: the file, for messages.
        commits: the locked commit of each hub id; see `settings.Hosted`.

    Raises:
        UserError: the kind is missing or unknown, or a key or value is wrong.
    """
    if not isinstance(raw.get("kind"), str):
        raise UserError(where, "key kind is missing", f"set it to one of {', '.join(kinds(base))}")
    return parse(implementation(base, raw["kind"], where), raw, where, commits)


def kinds(base: type[Strict]) -> list[str]:
    """Return the names of all kinds: the modules beside `base` that define `Settings`."""
    package = importlib.import_module(_package(base))
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    found = [name for name in names if hasattr(importlib.import_module(f"{package.__name__}.{name}"), "Settings")]
    return sorted(name.replace("_", "-") for name in found)


def _package(base: type) -> str:
    return base.__module__.rpartition(".")[0]


def _missing(settings: Any, base: type) -> str | None:
    """Return what a kind's `Settings` lack of what `base` asks for, in a few words; None: nothing."""
    if not (isinstance(settings, type) and issubclass(settings, base)):
        return f"has a Settings that is no subclass of {base.__module__}.{base.__name__}"
    for name, function in inspect.getmembers(base, inspect.isfunction):
        if name in getattr(settings, "__abstractmethods__", ()):
            return f"has a Settings without {name}"
        if function.__module__ == base.__module__ and name[0] != "_":
            arguments = list(inspect.signature(function).parameters)
            try:
                inspect.signature(getattr(settings, name)).bind(*arguments)
            except TypeError:
                return f"has a Settings whose {name} does not take ({', '.join(arguments)})"
    return None
