"""The base of every settings model: unknown keys are errors, values never change after loading."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")


class Strict(BaseModel):
    """A settings model that refuses unknown keys and cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


OneOrMany = Annotated[T | list[T], Field(union_mode="left_to_right")]
Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
