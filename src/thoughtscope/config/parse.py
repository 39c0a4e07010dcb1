"""Reads and checks one mapping of settings; every mistake becomes one clear line. Knows no particular settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from thoughtscope.errors import UserError

M = TypeVar("M", bound=BaseModel)


def parse(model: type[M], raw: Mapping[str, Any], where: str) -> M:
    """Validate `raw` and turn the first mistake into one line with the key.

    Raises:
        UserError: an unknown key, a missing key or a wrong value.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        mends = {
            "extra_forbidden": (
                "unknown key",
                f"remove it; known keys: {', '.join(_fields(model, first['loc']))}",
            ),
            "missing": ("key is missing", "add it"),
        }
        problem, mend = mends.get(first["type"], (f"{first['msg']}, not {first['input']!r}", "correct the value"))
        raise UserError(f"{where}: {key}" if key else where, problem, mend) from error


def _fields(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """Return the known keys of the mapping in which an unknown key stood, as far as it can be followed."""
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return ["see config/README.md"]
        model = inner
    return list(model.model_fields)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        UserError: not YAML, or not a mapping.
    """
    try:
        value = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise UserError(str(path), f"not YAML ({' '.join(str(error).split())})", "correct it") from error
    if not isinstance(value, dict):
        raise UserError(str(path), "not a mapping of keys to values", "write key: value lines")
    return value


def merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `patch` on top, mapping by mapping; lists and values are replaced."""
    merged = dict(base)
    for key, value in patch.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged
