"""The base of every settings model: unknown keys are errors, values never change after loading."""

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
    """Something that may come from a hub, at one commit.

    Validated with a context that maps hub ids to their locked commits, it takes the commit of its hub id, unless it
    names a revision of its own.
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
    """Yield every model of a kind that settings hold: they themselves, in fields, in lists and in mappings."""
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
    """How figures draw a backbone or a method: its colour, with a second cue for readers who do not see colours."""

    colour: Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")] = Field(..., description="as #rrggbb")
    marker: Marker = Field(..., description="matplotlib's name of the marker")
    filled: bool = Field(True, description="whether the marker is filled")
    dash: list[PositiveFloat] = Field([], description="strokes and gaps of the line in turn, in points; [] = solid")

    @model_validator(mode="after")
    def _every_stroke_has_a_gap(self) -> Look:
        if len(self.dash) % 2:
            raise ValueError("dash: give a gap after every stroke, so an even count")
        return self
