"""The base of all settings models: unknown keys are errors, and values cannot be changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


class Strict(BaseModel):
    """A settings model that refuses unknown keys and cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


OneOrMany = Annotated[T | list[T], Field(union_mode="left_to_right")]
Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Marker = Literal["o", "s", "^", "v", "<", ">", "D", "d", "P", "X", "p", "h", "H", "8", "*"]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


class Hosted(Strict):
    """Settings of a model or dataset that may be on a hub.

    If the validation context maps `hub_id` to a locked commit, this is the revision, unless the settings name one.
    """

    hub_id: str | None = None
    revision: Commit | None = None

    @model_validator(mode="before")
    @classmethod
    def _take_locked_commit(cls, raw: Any, info: ValidationInfo) -> Any:
        commits: Mapping[str, str] = info.context or {}
        if isinstance(raw, Mapping) and raw.get("revision") is None and raw.get("hub_id") in commits:
            return {**raw, "revision": commits[raw["hub_id"]]}
        return raw


def collect(settings: Any, kind: type[M]) -> Iterator[M]:
    """Yield all instances of a model class in settings, including nested ones in fields, lists and mappings."""
    if isinstance(settings, kind):
        yield settings
    if isinstance(settings, BaseModel):
        settings = dict(settings)
    if isinstance(settings, Mapping):
        settings = list(settings.values())
    if isinstance(settings, list | tuple):
        for value in settings:
            yield from collect(value, kind)


class Look(Strict):
    """How figures draw a backbone or a method: a colour, and markers and dashes for readers who do not see colours."""

    colour: Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")] = Field(..., description="as #rrggbb")
    marker: Marker = Field(..., description="the marker, by its name in matplotlib")
    filled: bool = Field(True, description="whether the marker is filled")
    dash: list[PositiveFloat] = Field([], description="strokes and gaps of the line in turn, in points; [] = solid")

    @model_validator(mode="after")
    def _every_stroke_has_a_gap(self) -> Look:
        if len(self.dash) % 2:
            raise ValueError("dash: give a gap after every stroke, so an even count")
        return self
