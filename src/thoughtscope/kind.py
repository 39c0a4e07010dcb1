"""The common base of probes, tables and figures: a class that defines everything about one kind.

A kind is a module of `thoughtscope.probes`, `tables` or `figures` with one subclass of `Probe`, `Table` or `Figure`,
which `find` looks up by the name of the module. The config imports these modules, so importing has to be fast: import
SciPy, scikit-learn and matplotlib inside the methods that compute or draw.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from abc import ABC
from typing import Any, ClassVar, Self, TypeVar

from thoughtscope.errors import UserError
from thoughtscope.settings import Strict

K = TypeVar("K")


class Kind(ABC):
    """One kind of probe, table or figure. An instance has its settings.

    Attributes:
        Settings: the model of its settings. A field `confidence`, `solved_at` or `decoding` that the config does
            not set has the value of `evaluation`.
        CAPTION: the text below it in the report, in reStructuredText. Changing it reruns nothing.
    """

    Settings: ClassVar[type[Strict]] = Strict
    CAPTION: ClassVar[str]
    settings: Any

    @classmethod
    def caption(cls) -> str:
        """Return the captions of the class and of its base classes, one paragraph each."""
        texts = [vars(one)["CAPTION"] for one in cls.__mro__ if "CAPTION" in vars(one)]
        return "\n\n".join(map(inspect.cleandoc, texts))

    @classmethod
    def missing(cls) -> list[str]:
        """Return the names of required attributes and methods that the class does not define."""
        bases = [one for one in cls.__mro__ if issubclass(one, Kind)]
        stated = {name for one in bases for name in vars(one).get("__annotations__", {}) if name.isupper()}
        return sorted([*(name for name in stated if not hasattr(cls, name)), *cls.__abstractmethods__])

    @classmethod
    def find(cls, kind: str, where: str) -> type[Self]:
        """Import the class of a kind; call it on `Probe`, `Table` or `Figure`.

        Args:
            where: the config key that names the kind, for messages.

        Raises:
            UserError: there is no such kind, or its class lacks a required attribute or method.
        """
        name = f"{_package(cls)}.{kind}"
        found = _subclass(cls, name) if kind.isidentifier() and importlib.util.find_spec(name) else None
        if found is None:
            raise UserError(f"{where}.kind", f"no kind {kind!r}", f"use one of {', '.join(cls.all())}")
        if missing := found.missing():
            raise UserError(f"{where}.kind", f"{name} has no {missing[0]}", f"complete it as {cls.__module__} says")
        return found

    @classmethod
    def all(cls) -> dict[str, type[Self]]:
        """Return all kinds by their names; call it on `Probe`, `Table` or `Figure`."""
        package = importlib.import_module(_package(cls))
        names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
        found = {name: _subclass(cls, f"{package.__name__}.{name}") for name in names}
        return {name: one for name, one in found.items() if one is not None and not one.missing()}


def _package(base: type) -> str:
    return base.__module__.rpartition(".")[0]


def _subclass(base: type[K], name: str) -> type[K] | None:
    """Return the subclass of `base` that a module defines; None if it defines none."""
    defined = [one for one in vars(importlib.import_module(name)).values() if isinstance(one, type)]
    return next((one for one in defined if issubclass(one, base) and one.__module__ == name and one != base), None)
