"""Finds the module that implements a kind of task, method or figure, or a table: `thoughtscope.<group>.<kind>`.

This is the only dynamic import of the package, so that a new kind is one new module and no list
elsewhere grows. `provenance.stage_sources` is told the kind and follows it as a source. What fills latents
is loaded here too, so that a method without latents does not depend on it.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import Any

from thoughtscope.errors import UserError

LATENTS = "thoughtscope.latents.fill"


def latents() -> ModuleType:
    """Import what fills latents; it offers `Fill`."""
    return importlib.import_module(LATENTS)


def module_name(group: str, kind: str) -> str:
    """Return the dotted module of `kind` (dashes become underscores) in `group` (``tasks``, ``methods``)."""
    return f"thoughtscope.{group}.{kind.replace('-', '_')}"


def implementation(group: str, kind: str, where: str) -> ModuleType:
    """Import the module of `kind`; it offers `Settings` and the functions its group's docstring names.

    Raises:
        UserError: no such kind; the message lists those there are.
    """
    name = module_name(group, kind)
    if not kind.replace("-", "").isidentifier() or importlib.util.find_spec(name) is None:
        raise UserError(f"{where}: kind", f"no kind {kind!r}", f"use one of {', '.join(kinds(group))}")
    module = importlib.import_module(name)
    if not hasattr(module, "Settings"):
        raise UserError(f"{where}: kind", f"no kind {kind!r}", f"use one of {', '.join(kinds(group))}")
    return module


def table(name: str) -> Callable[..., Any]:
    """Import the function that makes a table; it stands in a module of its own name.

    Raises:
        UserError: no such table.
    """
    module = module_name("evaluation", name)
    if not name.isidentifier() or importlib.util.find_spec(module) is None:
        raise UserError("table", f"no table {name!r}", "ask for a table that the config needs")
    return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]


def kinds(group: str) -> list[str]:
    """List the kinds of `group`: its modules that define `Settings`."""
    package = importlib.import_module(f"thoughtscope.{group}")
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    found = [name for name in names if hasattr(importlib.import_module(f"{package.__name__}.{name}"), "Settings")]
    return sorted(name.replace("_", "-") for name in found)
