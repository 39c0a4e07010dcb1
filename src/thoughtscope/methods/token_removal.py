"""Methods that remove a chain of thought token by token, without replacement: iCoT (arXiv 2405.14838).

Stage s removes the first s tokens of the steps. In an example, o further tokens are removed with a probability
proportional to exp(-smoothing * o) ("removal smoothing", section 3.1). At `remove_all_at`, all remaining tokens are
removed at once. The published recipes reset the optimiser at each stage (`training.optimizer.at_stage_switch: reset`).
"""

from __future__ import annotations

import math
import random
from typing import Literal

from pydantic import Field, model_validator

from thoughtscope.latents.layout import TokenSequence, sequence
from thoughtscope.methods.base import BaseMethod
from thoughtscope.methods.curriculum import Example, Stage, TokenIds
from thoughtscope.settings import Positive, PositiveFloat, Probability


class Settings(BaseMethod):
    """A curriculum that removes the tokens of the steps one by one, from the front."""

    kind: Literal["token-removal"]
    remove_all_at: Positive = Field(
        ..., description="one token more goes in each stage up to this number, at which all that are left go"
    )
    first_share: Probability = Field(..., description="duration of the explicit chain of thought, of the updates")
    token_share: Probability = Field(
        ..., description="duration of each further stage but the last, which has the rest, of the updates"
    )
    smoothing: PositiveFloat | None = Field(
        4.0, description="an example loses o tokens more with probability proportional to exp(-smoothing o); null: none"
    )

    @model_validator(mode="after")
    def _the_last_stage_has_updates(self) -> Settings:
        if self.first_share + (self.remove_all_at - 1) * self.token_share >= 1:
            raise ValueError("first_share and token_share leave nothing to the stage without steps: lower them")
        return self

    def stages(self, steps: int) -> list[Stage]:
        """Return one stage for each number of removed tokens, and one without steps; they do not depend on `steps`."""
        shares = [self.first_share, *([self.token_share] * (self.remove_all_at - 1))]
        partial = [Stage(i, f"{i} tokens of the steps removed", share, payload=i) for i, share in enumerate(shares)]
        return [*partial, Stage(len(shares), "all steps removed", 1 - sum(shares), payload=None)]

    def layout(
        self,
        stage: Stage,
        example: Example,
        ids: TokenIds,
        rng: random.Random,
        probabilities: list[float] | None,
    ) -> TokenSequence:
        """Return the question and the remaining response, which is labelled."""
        if stage.payload is None:
            return sequence(example.example_id, example.prompt, example.answer)
        removed = stage.payload + _offset(self.smoothing, rng)
        return sequence(example.example_id, example.prompt, example.thoughts[removed:] + example.answer)

    def prompt(self, stage: Stage, example: Example, ids: TokenIds) -> TokenSequence:
        """Return the question alone."""
        return sequence(example.example_id, example.prompt, [])


def _offset(smoothing: float | None, rng: random.Random) -> int:
    """Draw the number of further tokens to remove: P(o) = (1 - exp(-smoothing)) exp(-smoothing o)."""
    if smoothing is None:
        return 0
    return math.floor(-math.log(1 - rng.random()) / smoothing)
