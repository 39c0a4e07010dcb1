"""Methods that take a response's first steps away, stage by stage, and may put latents in their place.

Coconut (arXiv 2412.06769) and its controls are all of this kind; they differ in what is fed at the
latents (`fill`), in how many stand for a step, and in the stages they go through:

    cot      stage 0 only           no-cot   the last stage only, no latents
    icot     all stages, no latents pause    all stages, latents with an embedding of their own
    coconut  all stages, latents fed the hidden state of the position before
"""

from __future__ import annotations

import random
from typing import Literal

from pydantic import Field, model_validator

from thoughtscope.errors import UserError
from thoughtscope.latents.layout import Sequence, sequence
from thoughtscope.methods.curriculum import Ending, Example, MethodSettings, Stage, TokenIds
from thoughtscope.methods.fills import FillSettings
from thoughtscope.settings import Count, Probability

REST = "all steps removed"
START, LATENT, END = "<|start-latent|>", "<|latent|>", "<|end-latent|>"


class Settings(MethodSettings):
    """A curriculum that removes steps from the front."""

    kind: Literal["step-removal"]
    fill: FillSettings | None = Field(None, description="what is fed at latents; null: steps go, nothing comes")
    latents_per_step: Count = Field(0, description="latents that stand for a removed step (c)")
    first_stage: Count | Literal["last"] = Field(0, description="steps removed in the first stage")
    last_stage: Count | Literal["all"] = Field("all", description="steps removed in the last stage")
    remove_rest: bool = Field(
        False, description="after last_stage comes one more: all steps that are left go, and no latents are added"
    )
    shares: list[Probability] = Field(
        [], description="longest duration of each stage but the last, as shares of the updates; [] = equal"
    )
    pad_to_last: bool = Field(False, description="always as many latents as the stage allows, also for short examples")
    mix_earlier: Probability = Field(0.0, description="chance that an example is laid out as in an earlier stage")
    ending: Ending = Ending()

    @model_validator(mode="after")
    def _latents_need_a_fill(self) -> Settings:
        if (self.fill is None) != (self.latents_per_step == 0):
            raise ValueError("fill and latents_per_step go together: set both, or neither")
        if self.remove_rest and self.last_stage == "all":
            raise ValueError("remove_rest leaves nothing to remove after last_stage: all")
        if sum(self.shares) >= 1:
            raise ValueError("shares must add up to less than 1: the last stage has the rest")
        return self


def stages(settings: Settings, steps: int) -> list[Stage]:
    """Return one stage for each number of removed steps.

    Raises:
        UserError: `shares` has not one entry for each stage but the last.
    """
    last = steps if settings.last_stage == "all" else settings.last_stage
    first = last if settings.first_stage == "last" else settings.first_stage
    removed: list[int | None] = [*range(first, last + 1), *([None] if settings.remove_rest else [])]
    shares = settings.shares or [1 / len(removed)] * (len(removed) - 1)
    if len(shares) != len(removed) - 1:
        raise UserError(
            f"method {settings.label}: shares",
            f"{len(shares)} shares for {len(removed)} stages",
            f"give {len(removed) - 1}: one for each stage but the last",
        )
    return [
        Stage(
            index=i,
            name=REST if r is None else f"{r} of {last} steps removed",
            share=share,
            min_updates=settings.ending.min_updates,
            learned_at=settings.ending.learned_at if i < len(removed) - 1 else None,
            fill=settings.fill if r != 0 else None,
            min_latents=float(settings.fill is not None and r != 0),
        )
        for i, (r, share) in enumerate(zip(removed, [*shares, 1 - sum(shares)], strict=True))
    ]


def tokens(settings: Settings) -> list[str]:
    """Return the markers and the latent token, if the method has latents."""
    return [START, LATENT, END] if settings.latents_per_step else []


def latent_token(settings: Settings) -> str | None:
    """Return the token that stands at latents."""
    return LATENT if settings.latents_per_step else None


def layout(
    settings: Settings,
    stage: Stage,
    example: Example,
    ids: TokenIds,
    random_numbers: random.Random,
    probabilities: list[float] | None,
) -> Sequence:
    """Lay out an example for training: markers and latents unlabelled, all text after them labelled."""
    removed, replaced = _removed(settings, stage, len(example.steps))
    if settings.mix_earlier and random_numbers.random() < settings.mix_earlier:
        removed = replaced = random_numbers.randint(0, replaced)
    thoughts = _thoughts(settings, replaced, ids)
    text = [token for step in example.steps[removed:] for token in step] + example.answer
    return sequence(
        example.example_id,
        example.prompt,
        thoughts + text,
        is_latent=_are_latents(thoughts) + [False] * len(text),
        labelled=[False] * len(thoughts) + [True] * len(text),
    )


def prompt(settings: Settings, stage: Stage, example: Example, ids: TokenIds) -> Sequence:
    """Return the question with the stage's forced markers and latents; text follows freely."""
    thoughts = _thoughts(settings, _removed(settings, stage, len(example.steps))[1], ids)
    return sequence(
        example.example_id,
        example.prompt,
        thoughts,
        is_latent=_are_latents(thoughts),
        labelled=[False] * len(thoughts),
    )


def _removed(settings: Settings, stage: Stage, steps: int) -> tuple[int, int]:
    """Return how many steps a stage removes, and for how many of them latents stand."""
    target = int(settings.last_stage) if stage.name == REST else int(stage.name.split()[0])
    replaced = target if settings.pad_to_last else min(target, steps)
    return (steps if stage.name == REST else replaced), replaced


def _are_latents(thoughts: list[int]) -> list[bool]:
    """Return which of `thoughts` are latents: all between the markers."""
    return [0 < t < len(thoughts) - 1 for t in range(len(thoughts))]


def _thoughts(settings: Settings, replaced: int, ids: TokenIds) -> list[int]:
    count = replaced * settings.latents_per_step
    return [ids[START], *([ids[LATENT]] * count), ids[END]] if count else []
