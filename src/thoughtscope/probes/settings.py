"""Settings of probes, shared by the config and the programs. Imports no numerical library."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from thoughtscope.settings import Positive, Probability, Strict

Tokens = Literal["last", "mean"]


class Tested(Strict):
    """A permutation test: p = (k + 1) / (B + 1), where k of B permuted labellings reach the observed value."""

    permutations: int = Field(999, ge=99, description="B, the number of permutations for each p-value")
    level: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.01,
        description="significance level: the largest p, corrected for the choice of the best cell, that passes",
    )
    confidence: Probability = Field(0.95, description="confidence level of every interval")

    @model_validator(mode="after")
    def _can_pass(self) -> Tested:
        if 1 / (self.permutations + 1) > self.level:
            raise ValueError(
                f"{self.permutations} permutations give no p-value below {1 / (self.permutations + 1):.2g}, "
                f"so nothing passes level {self.level}: raise permutations or level"
            )
        return self


class TruthSettings(Tested):
    """How truth directions are fitted and tested."""

    bootstrap: Positive = Field(500, description="number of bootstrap samples of subjects for each interval")
    tokens: Tokens = Field(
        "last",
        description="the vector that represents a statement: that of its last token, or the mean over its tokens",
    )


class LatentSettings(Tested):
    """How latents are probed."""

    folds: int = Field(5, ge=2)
