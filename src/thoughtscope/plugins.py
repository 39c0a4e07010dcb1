"""Finds the module that implements a kind of task or method: `thoughtscope.<group>.<kind>`.

Dynamic imports are here and in `kind` only, so that a new kind is one new module and no list elsewhere grows. Who
follows imports has to be given the module of a kind. A kind of task is checked against its group's
`contract.Contract`; the Settings of a method or a fill against the base class of its group.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from thoughtscope.errors import UserError
from thoughtscope.parsing import parse
from thoughtscope.settings import Strict

CONTRACTS = ("tasks",)  # groups that have a module `contract`
BASES = {"methods": "BaseMethod", "latents.fills": "BaseFill"}  # the base class in a group's module `base`


def module_name(group: str, kind: str) -> str:
    """Return the dotted module of `kind` (dashes become underscores) in `group` (``tasks``, ``methods``)."""
    return f"thoughtscope.{group}.{kind.replace('-', '_')}"


def implementation(group: str, kind: str, where: str) -> ModuleType:
    """Import the module of `kind`; it offers `Settings` and what its group's contract names.

    Raises:
        UserError: no such kind, or its module does not keep the contract.
    """
    name = module_name(group, kind)
    if not kind.replace("-", "").isidentifier() or importlib.util.find_spec(name) is None:
        raise UserError(f"{where}: kind", f"no kind {kind!r}", f"use one of {', '.join(kinds(group))}")
    module = importlib.import_module(name)
    if not hasattr(module, "Settings"):
        raise UserError(f"{where}: kind", f"{name} has no Settings", f"add it, or use one of {', '.join(kinds(group))}")
    if group in CONTRACTS:
        contract = importlib.import_module(f"thoughtscope.{group}.contract")
        if broken := _breach(contract.Contract, module):
            raise UserError(f"{where}: kind", f"{name} {broken}", f"complete it as {contract.__name__} describes")
    if group in BASES:
        base = importlib.import_module(f"thoughtscope.{group}.base")
        if broken := _incomplete(module.Settings, getattr(base, BASES[group])):
            raise UserError(f"{where}: kind", f"{name} {broken}", f"complete it as {base.__name__} describes")
    return module


def read_settings(
    group: str, raw: Mapping[str, Any], where: str, commits: Mapping[str, str] | None = None
) -> tuple[ModuleType, Strict]:
    """Return the module of a small file's `kind`, and the file's settings as that module defines them.

    Args:
        commits: the locked commit of each hub id; see `settings.Hosted`.

    Raises:
        UserError: no kind or no such kind, or a mistake in the settings.
    """
    if not isinstance(raw.get("kind"), str):
        raise UserError(where, "key kind is missing", f"set it to one of {', '.join(kinds(group))}")
    module = implementation(group, raw["kind"], where)
    settings: Strict = parse(module.Settings, raw, where, commits)
    return module, settings


def _incomplete(settings: Any, base: type) -> str | None:
    """Return how a kind's Settings differ from what their base class asks for; None: they do not."""
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


def _breach(contract: type, module: ModuleType) -> str | None:
    """Return how a module breaks a contract, in a few words: a name it lacks, a wrong value, other arguments."""
    hints = get_type_hints(contract)
    functions = {name: value for name, value in vars(contract).items() if inspect.isfunction(value) and name[0] != "_"}
    for name in [*hints, *functions]:
        if not hasattr(module, name):
            return f"has no {name}"
    for name, hint in hints.items():
        value, allowed = getattr(module, name), get_args(hint)
        if get_origin(hint) is Literal and value not in allowed:
            return f"has {name} {value!r}, not one of {', '.join(map(repr, allowed))}"
        if get_origin(hint) is type and not (isinstance(value, type) and issubclass(value, allowed)):
            return f"has a {name} that is no subclass of {allowed[0].__module__}.{allowed[0].__name__}"
    for name, function in functions.items():
        arguments = [one for one in inspect.signature(function).parameters if one != "self"]
        try:
            inspect.signature(getattr(module, name)).bind(*arguments)
        except TypeError:
            return f"has a {name} that does not take ({', '.join(arguments)})"
    return None


def kinds(group: str) -> list[str]:
    """List the kinds of `group`: its modules that define `Settings`."""
    package = importlib.import_module(f"thoughtscope.{group}")
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    found = [name for name in names if hasattr(importlib.import_module(f"{package.__name__}.{name}"), "Settings")]
    return sorted(name.replace("_", "-") for name in found)
