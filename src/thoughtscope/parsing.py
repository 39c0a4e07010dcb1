"""Parses and validates mappings of settings; each mistake is a one-line error that names the key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from thoughtscope.errors import UserError

M = TypeVar("M", bound=BaseModel)


def parse(model: type[M], raw: Mapping[str, Any], where: str, commits: Mapping[str, str] | None = None) -> M:
    """Return `raw` as a validated model.

    Args:
        commits: the locked commit of each hub id; see `settings.Hosted`.

    Raises:
        UserError: an unknown key, a missing key or a wrong value.
    """
    try:
        return model.model_validate(raw, context=commits)
    except ValidationError as error:
        first = error.errors()[0]
        parts, known = _follow(model, first["loc"])
        key = ".".join(parts)
        fixes = {
            "extra_forbidden": ("unknown key", f"remove it; known keys: {', '.join(known)}"),
            "missing": ("key is missing", "add it"),
        }
        found = "" if isinstance(first["input"], Mapping) else f", not {first['input']!r}"
        said = first["msg"].removeprefix("Value error, ") + found
        problem, fix = fixes.get(first["type"], (said, "correct the value"))
        raise UserError(f"{where}: {key}" if key else where, problem, fix) from error


def _follow(model: type[BaseModel], location: tuple[Any, ...]) -> tuple[list[str], list[str]]:
    """Return the keys that lead to a mistake, and the known keys of the mapping that contains it.

    Pydantic's location also names the chosen variant of a union, which is not a key of the file.
    """
    parts: list[str] = []
    found: list[type[BaseModel]] = [model]
    for place, part in enumerate(location, start=1):
        chosen = [one for one in found if variant_of(one) == part]
        if len(found) > 1 and chosen:
            found = chosen
            continue
        parts.append(str(part))
        if place < len(location) and not isinstance(part, int):
            fields = [one.model_fields[part] for one in found if part in one.model_fields]
            found = [inner for field in fields for inner in models_of(field.annotation)]
    known = list(found[0].model_fields) if len(found) == 1 else ["see config/README.md"]
    return parts, known


def models_of(annotation: Any) -> list[type[BaseModel]]:
    """Return the models in a type: the type itself, members of a union, items of a list, values of a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    for part in get_args(annotation):
        if hasattr(part, "models"):  # a plug-in of any kind
            return list(part.models())
    return list(dict.fromkeys(model for part in get_args(annotation) for model in models_of(part)))


def variant_of(model: type[BaseModel]) -> object:
    """Return the `kind` that distinguishes a model from the other members of its union."""
    field = model.model_fields.get("kind")
    return next(iter(get_args(field.annotation)), None) if field else None


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        UserError: no such file, not YAML, or not a mapping.
    """
    if not path.is_file():
        raise UserError(str(path), "no such file", "correct its name, or start in the folder that holds it")
    try:
        value = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise UserError(str(path), f"not YAML ({' '.join(str(error).split())})", "correct it") from error
    if not isinstance(value, dict):
        raise UserError(str(path), "not a mapping of keys to values", "write key: value lines")
    return value


def merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` updated with `patch`: mappings are merged recursively, lists and other values replaced."""
    merged = dict(base)
    for key, value in patch.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged
