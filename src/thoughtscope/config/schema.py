"""The models of the main config file. Tasks and methods bring their own `Settings` (see `plugins`).

Each model's docstring and field descriptions become `config/README.md` and `config/schema.json`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from thoughtscope.backbones.settings import Pretraining
from thoughtscope.settings import Count, OneOrMany, Positive, PositiveFloat, Probability, Strict

Trainable = Literal["live", "frozen"]


class Optimizer(Strict):
    """AdamW and its learning-rate schedule over all updates of a run."""

    learning_rate: PositiveFloat = 1e-3
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    clip: PositiveFloat | None = Field(1.0, description="largest gradient norm; null leaves gradients alone")
    schedule: Literal["constant", "linear", "cosine", "hold-then-linear"] = "constant"
    decay: Probability = Field(0.3, description="hold-then-linear: share of the updates over which the rate falls to 0")
    warmup: Probability = Field(0.0, description="share of the updates over which the rate rises from 0")
    at_stage_switch: Literal["keep", "reset", "rewarm"] = Field(
        "keep", description="what happens to the optimiser's moments; rewarm also repeats the warm-up"
    )
    warmup_updates_at_switch: Count = Field(20, description="length of that repeated warm-up")


class Training(Strict):
    """How a run trains. A backbone, a method or `trainable` may override any key of it."""

    updates: Positive = Field(..., description="optimiser updates of the whole run, over all stages")
    batch_size: Positive = Field(64, description="global: over all ranks and accumulation steps")
    micro_batch_size: Positive | None = Field(None, description="examples a rank holds at once; null: its whole share")
    optimizer: Optimizer = Optimizer()
    max_gradient_norm: PositiveFloat = Field(
        1e6, description="a gradient norm above it, before clipping, stops the run"
    )
    precision: Literal["auto", "float32", "bf16"] = Field("auto", description="auto: bf16 on CUDA, else float32")
    deepspeed: str = Field("zero0", description="a file of config/deepspeed")
    gradient_checkpointing: bool = False
    save_every_seconds: PositiveFloat = Field(60.0, description="how often the resumable state is saved")
    keep_states: Positive = Field(2, description="how many of those are kept")
    keep_checkpoints: list[Probability] = Field(
        [],
        description="models kept for extraction, as fractions of the way from the first latent stage to the end",
    )
    tensorboard: bool = Field(False, description="also write TensorBoard event files, under results/state")


class Frozen(Strict):
    """LoRA on a fixed backbone (arXiv 2106.09685); the latent tokens' embeddings train as well."""

    rank: Positive = 16
    alpha: PositiveFloat = 32
    dropout: Probability = 0.0
    target_modules: str | list[str] = "all-linear"
    training: dict[str, object] = Field({}, description="overrides of `training` for frozen runs")


class Evaluation(Strict):
    """How accuracy is measured: batched greedy generation on a fixed held-out set."""

    every: Positive = Field(..., description="updates between two measurements; step 0 and the end always count")
    examples: Positive | None = Field(None, description="test questions a measurement uses; null: the whole split")
    validation_examples: Positive = Field(128, description="questions that decide whether a stage is learned")
    check_every: Positive = Field(25, description="updates between two checks whether a stage is learned")
    batch_size: Positive = 256
    max_new_tokens: Positive = Field(64, description="text tokens a response may have")
    max_latents: Positive = Field(16, description="latents a response may have when the model chooses them")
    max_latents_in_a_row: Positive = 4
    confidence: Probability = 0.95


class RunGrid(Strict):
    """A product of lists: every combination is a run."""

    task: OneOrMany[str]
    backbone: OneOrMany[str]
    method: OneOrMany[str]
    trainable: OneOrMany[Trainable] = "live"
    seed: OneOrMany[Count] = 0


class RunFilter(Strict):
    """Selects runs of `runs:`; a key left out matches everything."""

    task: OneOrMany[str] | None = None
    backbone: OneOrMany[str] | None = None
    method: OneOrMany[str] | None = None
    trainable: OneOrMany[Trainable] | None = None
    seed: OneOrMany[Count] | None = None


class HiddenStates(Strict):
    """What is extracted of the runs that a figure or a probe names."""

    examples: Positive = Field(256, description="test questions whose states are stored")
    layers: Literal["last", "all"] | list[Count] = Field("last", description="hidden-state layers, 0 = embeddings")
    dtype: Literal["float16", "float32"] = "float32"
    batch_size: Positive = 64


class LatentProbes(Strict):
    """Multinomial probes: which intermediate value can be read at each latent."""

    runs: RunFilter | list[RunFilter]
    folds: Annotated[int, Field(ge=2)] = 5
    permutations: Positive = Field(20, description="refits on shuffled labels")
    confidence: Probability = 0.95


class TruthProbes(Strict):
    """Directions that separate true from false statements, for each layer, split by subject."""

    task: str
    backbone: str
    random_directions: Positive = 200
    permutations: Positive = 50
    bootstrap: Positive = 500
    confidence: Probability = 0.95
    tokens: Literal["last", "mean"] = Field(
        "last", description="what stands for a statement: its last token, or the mean of all"
    )


class Figure(Strict):
    """One figure: its kind (a module of `thoughtscope.figures`), the runs it draws and its options."""

    kind: str
    runs: RunFilter | list[RunFilter] | None = None
    title: str | None = None
    options: dict[str, object] = {}


class Config(Strict):
    """The main config file: what is studied and with which settings."""

    runs: list[RunGrid] = Field(..., min_length=1)
    training: Training
    frozen: Frozen = Frozen()
    evaluation: Evaluation
    pretraining: Pretraining
    hidden_states: HiddenStates = HiddenStates()
    latent_probes: LatentProbes | None = None
    truth_probes: TruthProbes | None = None
    figures: dict[str, Figure]
    overrides: dict[Literal["tasks", "backbones", "methods", "deepspeed"], dict[str, dict[str, object]]] = Field(
        {}, description="changes to the small files, e.g. overrides: {tasks: {chain: {seed: 1}}}"
    )

    @model_validator(mode="after")
    def _checkpoints_are_ordered(self) -> Config:
        if sorted(self.training.keep_checkpoints) != self.training.keep_checkpoints:
            raise ValueError("training.keep_checkpoints: fractions must rise")
        return self
