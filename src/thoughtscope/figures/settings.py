"""The options of each kind of figure, and which folders it is drawn from. Imports no plotting library."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from thoughtscope.settings import Positive, Probability, Strict

Input = Literal["runs", "hidden_states", "activity"]


class Projection(Strict):
    """How vectors become points of three dimensions."""

    vectors: Literal["input", "output"] = Field("input", description="what is fed at a latent, or the state there")
    layer: int | None = Field(None, ge=0, description="of kind output; null: the one after the final norm")
    unit_norm: bool = Field(False, description="scale every vector to length 1 first")
    pca: Literal["common", "panel"] = Field("common", description="one PCA for all panels, or each panel its own")
    fewest: Positive = Field(50, description="points below which a panel warns")

    @model_validator(mode="after")
    def _what_is_fed_has_no_layer(self) -> Projection:
        if self.vectors == "input" and self.layer is not None:
            raise ValueError("layer is of hidden states: set vectors: output, or leave layer out")
        return self


class LatentScatter(Projection):
    """Options of `latent_scatter`: the k-th latent of a response, one panel for each k."""

    steps: Annotated[list[Positive], Field(min_length=1, max_length=4)] = Field(
        [1, 3, 4, 6], description="which latents of a response, one panel each"
    )

    @property
    def latents(self) -> list[int]:
        """The steps whose vectors are read."""
        return self.steps


class LatentScatterTraining(Projection):
    """Options of `latent_scatter_training`: one latent, one panel for each kept checkpoint."""

    step: Positive = Field(1, description="which latent of a response")

    @property
    def latents(self) -> list[int]:
        """The steps whose vectors are read."""
        return [self.step]


class Accuracy(Strict):
    """Options of the accuracy figures."""

    split: str = Field("test", description="which split's accuracy is drawn")
    confidence: Probability = Field(0.95, description="level of intervals; default: evaluation.confidence")
    solved_at: Probability | None = Field(
        0.95, description="accuracy from which a seed counts as solving the task; default: evaluation.solved_at"
    )


class Benchmark(Strict):
    """Options of `benchmark`."""

    confidence: Probability = Field(0.95, description="level of intervals; default: evaluation.confidence")
    solved_at: Probability | None = Field(
        0.95, description="accuracy from which a seed counts as solving the task; default: evaluation.solved_at"
    )


class Activity(Strict):
    """Options of the activity figures."""

    direction: Literal["difference-of-means", "whitened-difference"] = Field(
        "whitened-difference", description="which direction's scores are drawn"
    )
    fitted_on: Literal["tokens", "last"] = Field(
        "tokens", description="the direction of all predicate tokens, or of the last token, which colours the last only"
    )
    question: str | None = Field(None, description="the displayed query; null: the first with both answers")
    attribute: str | None = Field(
        None, description="draw two answers with this attribute (of `facts`: profile or origin); null: the first two"
    )


OPTIONS: dict[str, type[Strict]] = {
    "latent_scatter": LatentScatter,
    "latent_scatter_training": LatentScatterTraining,
    "accuracy_live_frozen": Accuracy,
    "accuracy_backbones": Accuracy,
    "benchmark": Benchmark,
    "activity_surface": Activity,
    "activity_heatmap": Activity,
}
INPUT: dict[str, Input] = {
    "latent_scatter": "hidden_states",
    "latent_scatter_training": "hidden_states",
    "accuracy_live_frozen": "runs",
    "accuracy_backbones": "runs",
    "benchmark": "runs",
    "activity_surface": "activity",
    "activity_heatmap": "activity",
}
# What the series of a figure are: methods, backbones, or lines of a trainable and a backbone.
SERIES: dict[str, Literal["methods", "backbones", "lines"]] = {
    "latent_scatter": "methods",
    "latent_scatter_training": "methods",
    "accuracy_live_frozen": "lines",
    "accuracy_backbones": "backbones",
    "benchmark": "backbones",
}
# What the runs of one figure have to agree in.
SHARED: dict[str, tuple[str, ...]] = {
    "latent_scatter": ("task", "backbone", "trainable", "seed"),
    "latent_scatter_training": ("task", "backbone", "trainable", "seed"),
    "accuracy_live_frozen": ("task", "method"),
    "accuracy_backbones": ("task", "method", "trainable"),
    "benchmark": ("task", "trainable"),
}
