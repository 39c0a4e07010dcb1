"""Methods that keep the text and insert latents where the model is uncertain: LT-Tuning (arXiv 2602.10229).

The token `<thinking>` is inserted before response tokens with a low probability under the current model. It is a label,
too, so the model learns when to think, and decides this at test time.
"""

from __future__ import annotations

import random
from typing import Literal

from pydantic import Field, model_validator

from thoughtscope.latents.layout import TokenSequence, sequence
from thoughtscope.latents.settings import AnyFill
from thoughtscope.methods.base import BaseMethod
from thoughtscope.methods.curriculum import Example, Stage, TokenIds
from thoughtscope.settings import Positive, Probability, Strict

LATENT = "<thinking>"


class Insertion(Strict):
    """Where latents are inserted: before response tokens with a low probability under the current model.

    Up to `cap` of the candidates are drawn; each drawn one gets a latent with probability `keep`, and a second one
    with probability `second`.
    """

    tau: Probability | None = Field(None, description="a token is a candidate if its probability is below")
    quantile: Probability | None = Field(
        None, description="instead: the least likely share of an example's response tokens are candidates"
    )
    selection: Literal["random", "least-confident", "anywhere"] = Field(
        "random",
        description="which candidates are drawn; anywhere: at random, and all tokens are candidates (control)",
    )
    keep: Probability = Field(..., description="probability that a drawn candidate gets a latent")
    second: Probability = Field(0.0, description="probability that a latent is followed by a second one")
    cap: Positive = Field(
        ...,
        description="candidates drawn for a response; second latents come on top: at most twice as many",
    )
    min_latents: float = Field(0.1, ge=0, description="mean latents a response must have, else the stage is an error")

    @model_validator(mode="after")
    def _one_threshold(self) -> Insertion:
        if self.selection == "anywhere" and (self.tau, self.quantile) != (None, None):
            raise ValueError("selection anywhere takes all tokens as candidates: leave out tau and quantile")
        if self.selection != "anywhere" and (self.tau is None) == (self.quantile is None):
            raise ValueError("give tau or quantile, one of them")
        return self


class StageSettings(Strict):
    """The duration, insertion and fill of one stage."""

    name: str
    share: Probability = Field(..., description="longest duration as a share of the updates")
    insertion: Insertion | None = None
    fill: AnyFill | None = None

    @model_validator(mode="after")
    def _latents_need_a_fill(self) -> StageSettings:
        if (self.insertion is None) != (self.fill is None):
            raise ValueError("insertion and fill go together: set both, or neither")
        return self


class Settings(BaseMethod):
    """A curriculum of stages over the same text."""

    kind: Literal["confidence-insertion"]
    curriculum: list[StageSettings] = Field(..., min_length=1)
    label_latents: bool = Field(True, description="whether `<thinking>` itself is a label")

    @model_validator(mode="after")
    def _shares_fit(self) -> Settings:
        if sum(stage.share for stage in self.curriculum) > 1 + 1e-9:
            raise ValueError("shares of the stages add up to more than 1")
        return self

    @model_validator(mode="after")
    def _stages_have_names_of_their_own(self) -> Settings:
        names = [stage.name for stage in self.curriculum]
        if len(set(names)) < len(names):
            raise ValueError("two stages have the same name: tables tell them apart by it")
        return self

    @model_validator(mode="after")
    def _one_adapter_for_each_kind(self) -> Settings:
        fills = [stage.fill for stage in self.curriculum if stage.fill]
        if len({(fill.kind, fill.parameter_shape) for fill in fills}) > len({fill.kind for fill in fills}):
            raise ValueError("stages of one kind of fill share its adapter: give all of them the same width, or none")
        return self

    def stages(self, steps: int) -> list[Stage]:
        """Return the curriculum, which does not depend on `steps`."""
        return [
            Stage(
                index=i,
                name=stage.name,
                share=stage.share,
                payload=stage.insertion,
                fill=stage.fill,
                chosen=stage.insertion is not None,
                min_latents=stage.insertion.min_latents if stage.insertion else 0.0,
                scored=stage.insertion is not None and stage.insertion.selection != "anywhere",
            )
            for i, stage in enumerate(self.curriculum)
        ]

    @property
    def tokens(self) -> list[str]:
        """Return the token that the method adds."""
        return [LATENT]

    @property
    def latent_token(self) -> str | None:
        """Return the token at latents."""
        return LATENT

    def layout(
        self,
        stage: Stage,
        example: Example,
        ids: TokenIds,
        rng: random.Random,
        probabilities: list[float] | None,
    ) -> TokenSequence:
        """Insert latents into the response; the whole response is labelled, latents too (if so set).

        Args:
            probabilities: of each response token under the current model; None in stages that need none.
        """
        insertion: Insertion | None = stage.payload
        response = example.response
        places = insertion_places(insertion, response, probabilities, rng) if insertion else []
        filled: list[int] = []
        is_latent: list[bool] = []
        for t, token in enumerate(response):
            count = places.count(t)
            filled += [ids[LATENT]] * count + [token]
            is_latent += [True] * count + [False]
        labelled = [self.label_latents or not latent for latent in is_latent]
        return sequence(example.example_id, example.prompt, filled, is_latent=is_latent, labelled=labelled)

    def prompt(self, stage: Stage, example: Example, ids: TokenIds) -> TokenSequence:
        """Return the question alone; the model decides when to think."""
        return sequence(example.example_id, example.prompt, [])


def insertion_places(
    insertion: Insertion,
    response: list[int],
    probabilities: list[float] | None,
    rng: random.Random,
) -> list[int]:
    """Return the indices of response tokens before which a latent is inserted; an index may occur twice.

    Args:
        probabilities: of each response token; used unless `insertion.selection` is `anywhere`.
    """
    candidates = _candidates(insertion, response, probabilities or [])
    if insertion.selection == "least-confident" and probabilities:
        candidates.sort(key=lambda t: probabilities[t])
    else:
        rng.shuffle(candidates)
    places: list[int] = []
    for t in candidates[: insertion.cap]:
        if rng.random() < insertion.keep:
            places += [t] * (1 + (rng.random() < insertion.second))
    return sorted(places)


def _candidates(insertion: Insertion, response: list[int], probabilities: list[float]) -> list[int]:
    everywhere = list(range(len(response)))
    if insertion.selection == "anywhere":
        return everywhere
    if insertion.tau is not None:
        return [t for t in everywhere if probabilities[t] < insertion.tau]
    count = round((insertion.quantile or 0.0) * len(response))
    return sorted(everywhere, key=lambda t: probabilities[t])[:count]
