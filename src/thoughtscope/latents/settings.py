"""`AnyFill`, the type of a settings key whose value is a fill of any kind. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, InitErrorDetails, core_schema

from thoughtscope.errors import UserError
from thoughtscope.latents.fills.base import BaseFill
from thoughtscope.plugins import implementation, kinds


class ByKind:
    """Validates a mapping with the `Settings` of its `kind`, whose module is imported when it is used."""

    def models(self) -> list[type[BaseFill]]:
        """Return the settings classes of all kinds."""
        return [_settings(kind) for kind in kinds(BaseFill)]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(_validate)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        kinds_of_fill = [handler(one.__pydantic_core_schema__) for one in self.models()]
        return {"discriminator": {"propertyName": "kind"}, "oneOf": kinds_of_fill}


AnyFill = Annotated[BaseFill, ByKind()]


def _settings(kind: str) -> type[BaseFill]:
    return implementation(BaseFill, kind, "fill")


def _validate(raw: Any) -> BaseFill:
    if isinstance(raw, BaseFill):
        return raw
    kind = raw.get("kind") if isinstance(raw, dict) else None
    if not isinstance(kind, str):
        raise ValueError(f"give it a kind: one of {', '.join(kinds(BaseFill))}")
    try:
        return _settings(kind).model_validate(raw)
    except UserError as error:
        raise ValueError(f"{error.problem}: {error.fix}") from None
    except ValidationError as error:  # located by kind, as pydantic locates variants of a union
        lines: list[InitErrorDetails] = [
            {"type": one["type"], "loc": (kind, *one["loc"]), "input": one["input"], "ctx": one.get("ctx", {})}
            for one in error.errors()
        ]
        raise ValidationError.from_exception_data(error.title, lines) from None
