"""Generates the reference of the config: `config/schema.json` and the tables in `config/README.md`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from thoughtscope.backbones.settings import Settings as BackboneSettings
from thoughtscope.config.schema import Config
from thoughtscope.figures.base import Figure
from thoughtscope.methods.base import BaseMethod
from thoughtscope.parsing import models_of, variant_of
from thoughtscope.plugins import implementation, kinds
from thoughtscope.probes.base import Probe
from thoughtscope.settings import Strict
from thoughtscope.tables.base import Table
from thoughtscope.tasks.base import BaseTask
from thoughtscope.training.deepspeed import DeepSpeed

MODELS: dict[str, type[BaseModel]] = {
    "config.yaml": Config,
    "backbones/{name}.yaml": BackboneSettings,
    "deepspeed/{name}.yaml": DeepSpeed,
}
BEGIN, END = "<!-- reference: generated, do not edit -->", "<!-- end of reference -->"


def schema() -> dict[str, Any]:
    """Return one JSON schema for the main file and for each kind of small file."""
    return {name: model.model_json_schema() for name, model in _models()}


def reference() -> str:
    """Return the reference in Markdown, with a table for each model."""
    return "\n".join(_table(name, model) for name, model in _models())


def with_reference(text: str) -> str:
    """Return the text of the README with its generated part renewed."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{reference()}\n{END}{after}"


def _models() -> Iterator[tuple[str, type[BaseModel]]]:
    yield from MODELS.items()
    bases: dict[str, type[Strict]] = {"tasks": BaseTask, "methods": BaseMethod}
    for group, base in bases.items():
        for kind in kinds(base):
            yield f"{group}/{{name}}.yaml, kind {kind}", implementation(base, kind, group)
    for plugin, key in ((Probe, "probes.{name}"), (Table, "tables.{name}"), (Figure, "figures.{name}.options")):
        for name, one in plugin.all().items():
            if one.Settings.model_fields:
                yield f"config.yaml: {key}, kind {name}", one.Settings


def _table(title: str, model: type[BaseModel]) -> str:
    lines = [f"### {title}", "", " ".join((model.__doc__ or "").split()), "", "| key | type | default | meaning |"]
    lines += ["| --- | --- | --- | --- |", *_rows(model, ""), ""]
    return "\n".join(lines)


def _rows(model: type[BaseModel], prefix: str, only: str = "") -> Iterator[str]:
    """Yield a row for each key; `only` names the variant of a mapping that has the key."""
    for name, field in model.model_fields.items():
        inner = models_of(field.annotation)
        about = inner[0] if len(inner) == 1 else model if only and name == "kind" else None
        text = field.description or (" ".join((about.__doc__ or "").split()) if about else "")
        yield f"| `{prefix}{name}` | {_type(field)} | {_default(field)} | {only}{text} |"
        for one in inner:
            variant = f"{variant_of(one)}: " if len(inner) > 1 else ""
            yield from _rows(one, f"{prefix}{name}.", variant)


def _type(field: FieldInfo) -> str:
    """Return the type of a field in words: `int`, `text or list of text`, `full or lora`."""
    return _type_text(field.annotation)


def _type_text(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_text(parts[0])
    if origin is Literal:
        return " or ".join(f"`{part}`" for part in parts)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_type_text(part) for part in parts))
    if origin in (list, tuple):
        return f"list of {_type_text(parts[0])}"
    if (isinstance(annotation, type) and issubclass(annotation, BaseModel)) or origin is dict:
        return "mapping"
    return {"str": "text", "NoneType": "null"}.get(
        getattr(annotation, "__name__", ""), getattr(annotation, "__name__", "")
    )


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "**needed**" if field.default_factory is None else ""
    if isinstance(field.default, BaseModel):
        return ""
    return f"`{json.dumps(field.default)}`"


def write_reference() -> None:
    """Write both files, in the repository that is the working directory."""
    folder = Path("config")
    (folder / "schema.json").write_text(json.dumps(schema(), indent=1, sort_keys=True) + "\n")
    readme = folder / "README.md"
    readme.write_text(with_reference(readme.read_text()))
