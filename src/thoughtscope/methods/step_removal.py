"""Methods that remove the first steps of responses, stage by stage, and may replace them by latents.

Coconut (arXiv 2412.06769) and its controls are of this kind. They differ in the vectors fed at latents (`fill`), in the
number of latents per step, and in their stages:

    cot      stage 0 only           no-cot   the last stage only, no latents
    pause    all stages, latents with an embedding of their own
    coconut  all stages, latents fed the hidden state of the position before
    coconut-without-thoughts        all stages, no latents

The number of latents depends only on the stage, in training and at test time. (Without `pad_latent_to_max`, the
published code derives the number at test time from the steps of the gold solution, so that the prompt reveals how hard
the question is. All published recipes set it, and the number is that of the stage.)
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from thoughtscope.errors import UserError
from thoughtscope.latents.layout import TokenSequence, sequence
from thoughtscope.latents.settings import AnyFill
from thoughtscope.methods.curriculum import Ending, Example, Stage, TokenIds
from thoughtscope.methods.step_decoder import DecodedSteps, Groups
from thoughtscope.settings import Count, Probability

START, LATENT, END = "<|start-latent|>", "<|latent|>", "<|end-latent|>"


class Settings(DecodedSteps):
    """A curriculum that removes steps from the front."""

    kind: Literal["step-removal"]
    fill: AnyFill | None = Field(None, description="vector fed at latents; null: steps are removed without replacement")
    latents_per_step: Count = Field(0, description="number of latents for each removed step (c)")
    first_stage: Count | Literal["last"] = Field(0, description="steps removed in the first stage")
    last_stage: Count | Literal["all"] = Field(
        "all", description="steps removed in the last stage; all: as many as the longest training example has"
    )
    remove_rest: bool = Field(
        False, description="add a stage after last_stage that removes all remaining steps without adding latents"
    )
    shares: list[Probability] = Field(
        [], description="duration of each stage but the last, as shares of the updates; [] = equal"
    )
    empty_markers: bool = Field(
        False, description="start and end markers also stand where no latent is between them (stage 0)"
    )
    mix_earlier: Probability = Field(0.0, description="probability that an example has the layout of an earlier stage")
    ending: Ending = Ending()

    @model_validator(mode="after")
    def _keys_fit_together(self) -> Settings:
        if (self.fill is None) != (self.latents_per_step == 0):
            raise ValueError("fill and latents_per_step go together: set both, or neither")
        if self.step_decoder is not None and (self.fill is None or self.mix_earlier):
            raise ValueError("step_decoder needs latents, as many as the stage has: set fill, leave out mix_earlier")
        if self.empty_markers and self.fill is None:
            raise ValueError("empty_markers needs a method with latents: set fill and latents_per_step")
        if self.remove_rest and self.last_stage == "all":
            raise ValueError("remove_rest leaves nothing to remove after last_stage: all")
        if self.shares and self.ending.learned_at is not None:
            raise ValueError("shares fix when stages end, ending.learned_at ends them when learned: set one of them")
        if sum(self.shares) >= 1:
            raise ValueError("shares must add up to less than 1: the last stage has the rest")
        return self

    def stages(self, steps: int) -> list[Stage]:
        """Return one stage for each number of removed steps.

        Raises:
            UserError: `shares` has not one entry for each stage but the last, the first stage removes more than the
                last, or there are latents and no step that they could replace.
        """
        last = steps if self.last_stage == "all" else self.last_stage
        first = last if self.first_stage == "last" else self.first_stage
        where = f"method {self.label}"
        if first > last:
            raise UserError(f"{where}: first_stage", f"it removes {first} steps, the last stage {last}", "lower it")
        if self.fill is not None and last == 0:
            raise UserError(
                f"{where}: fill", "no training example has a step that latents could replace", "use a task with steps"
            )
        removals = [Removal(count, count) for count in range(first, last + 1)]
        names = [f"{count} of {last} steps removed" for count in range(first, last + 1)]
        if self.remove_rest:
            removals, names = [*removals, Removal(None, last)], [*names, "all steps removed"]
        shares = self.shares or [1 / len(removals)] * (len(removals) - 1)
        if len(shares) != len(removals) - 1:
            raise UserError(
                f"{where}: shares",
                f"{len(shares)} shares for {len(removals)} stages",
                f"give {len(removals) - 1}: one for each stage but the last",
            )
        return [
            Stage(
                index=i,
                name=name,
                share=None if self.ending.learned_at is not None else share,
                payload=removal,
                min_updates=self.ending.min_updates,
                learned_at=self.ending.learned_at,
                tail=self.ending.tail if i == len(removals) - 1 else 0,
                fill=self.fill if removal.replaced else None,
                markers=self.empty_markers,
                min_latents=float(self.fill is not None and removal.replaced > 0),
            )
            for i, (name, removal, share) in enumerate(zip(names, removals, [*shares, 1 - sum(shares)], strict=True))
        ]

    def groups(self, stage: Stage) -> Groups:
        """Return which steps the latents of a stage stand for: the first ones, and with `remove_rest` all others."""
        removal: Removal = stage.payload
        return Groups(removal.replaced if self.fill else 0, self.latents_per_step, removal.steps is None)

    @property
    def tokens(self) -> list[str]:
        """Return the markers and the latent token, if the method has latents."""
        return [START, LATENT, END] if self.latents_per_step else []

    @property
    def latent_token(self) -> str | None:
        """Return the token at latents."""
        return LATENT if self.latents_per_step else None

    def layout(
        self,
        stage: Stage,
        example: Example,
        ids: TokenIds,
        rng: random.Random,
        probabilities: list[float] | None,
    ) -> TokenSequence:
        """Lay out an example for training: markers and latents unlabelled, all text after them labelled."""
        removal: Removal = stage.payload
        if self.mix_earlier and rng.random() < self.mix_earlier:
            earlier = rng.randint(0, removal.replaced)
            removal = Removal(earlier, earlier)
        left = [] if removal.steps is None else example.steps[removal.steps :]
        text = [token for step in left for token in step] + example.answer
        return _sequence(self, removal, example, ids, text)

    def prompt(self, stage: Stage, example: Example, ids: TokenIds) -> TokenSequence:
        """Return the question with the markers and latents that the stage forces."""
        return _sequence(self, stage.payload, example, ids, [])


@dataclass(frozen=True)
class Removal:
    """The removal of steps in a stage.

    Attributes:
        steps: number of steps removed from the front; None: all.
        replaced: number of steps that latents replace.
    """

    steps: int | None
    replaced: int


def _sequence(settings: Settings, removal: Removal, example: Example, ids: TokenIds, text: list[int]) -> TokenSequence:
    """Return the question, the latents that replace removed steps, and the remaining text."""
    count = removal.replaced * settings.latents_per_step
    marked = count > 0 or settings.empty_markers
    thoughts = [ids[START], *([ids[LATENT]] * count), ids[END]] if marked else []
    return sequence(
        example.example_id,
        example.prompt,
        thoughts + text,
        is_latent=[0 < t <= count for t in range(len(thoughts + text))],
        labelled=[False] * len(thoughts) + [True] * len(text),
    )
