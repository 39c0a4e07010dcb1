"""How runs train and are measured: the settings that training itself needs, apart from those of figures and probes."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from thoughtscope.settings import Count, Positive, PositiveFloat, Probability, Strict

DECODING = {"max_new_tokens", "max_latents", "max_latents_in_a_row", "loop_tokens", "loop_repeats"}


class Optimizer(Strict):
    """AdamW and its learning-rate schedule over all updates of a run."""

    learning_rate: PositiveFloat = 1e-3
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    fused: bool | None = Field(None, description="AdamW in one kernel; null: on CUDA")
    max_grad_norm: PositiveFloat | None = Field(
        1.0, description="gradients are scaled down to this norm where theirs is larger; null: never"
    )
    schedule: Literal["constant", "linear", "cosine", "wsd"] = "constant"
    decay: Probability = Field(0.3, description="wsd: share of the updates over which the rate falls to 0")
    warmup: Probability = Field(0.0, description="share of the updates over which the rate rises from 0")
    at_stage_switch: Literal["keep", "reset", "rewarm"] = Field(
        "keep", description="what happens to the optimiser's moments; rewarm also repeats the warm-up"
    )
    warmup_updates_at_switch: Count = Field(20, description="length of that repeated warm-up")


class Training(Strict):
    """How a run trains. A backbone, a method or `trainable` may override any key of it."""

    updates: Positive = Field(1000, description="optimiser updates of the whole run, over all stages")
    epochs: PositiveFloat | None = Field(
        None, description="passes over the training examples, which then decide `updates`; null: `updates` says"
    )
    batch_size: Positive = Field(64, description="global: over all ranks and accumulation steps")
    micro_batch_size: Positive | None = Field(None, description="examples a rank holds at once; null: its whole share")
    optimizer: Optimizer = Optimizer()
    abort_gradient_norm: PositiveFloat = Field(
        1e6, description="a gradient norm above it, before it is scaled down, ends the run with an error"
    )
    precision: Literal["auto", "float32", "bf16"] = Field("auto", description="auto: bf16 on CUDA, else float32")
    deepspeed: str = Field("zero0", description="a file of config/deepspeed")
    gradient_checkpointing: bool = Field(
        False,
        description="keep the inputs of layers only, and compute the rest again for gradients: less memory, more time",
    )
    save_every_seconds: PositiveFloat = Field(
        60.0,
        description="how often the resumable state is saved; less often if that would take over 3 % of the time",
    )
    keep_states: Positive = Field(2, description="how many of those are kept")
    keep_checkpoints: list[Probability] = Field(
        [],
        description="models kept for extraction, as fractions of the way from the first latent stage to the end",
    )

    def of_examples(self, examples: int) -> Training:
        """Return these settings with the `updates` that `epochs` of so many training examples take."""
        if self.epochs is None:
            return self
        return self.model_copy(update={"updates": math.ceil(self.epochs * examples / self.batch_size)})


class Lora(Strict):
    """LoRA on a fixed backbone (arXiv 2106.09685); the latent tokens' embeddings train as well."""

    rank: Positive = 16
    alpha: PositiveFloat = 32
    dropout: Probability = 0.0
    target_modules: str | list[str] = "all-linear"
    training: dict[str, object] = Field({}, description="overrides of `training` for LoRA runs")


class Sampling(Strict):
    """Several responses to each test question, drawn once a run has ended: for majority votes and pass@k."""

    samples: Positive = Field(8, description="responses to each question")
    temperature: PositiveFloat = 0.7
    top_k: Positive | None = Field(None, description="draw from so many tokens at most; null: from all")
    top_p: Probability = 0.95
    min_p: Probability = Field(0.0, description="draw from tokens at least so likely, as a share of the likeliest one")
    seed: Count = Field(0, description="each question and response draws its own numbers, whatever the batch")


class Evaluation(Strict):
    """How accuracy is measured: batched greedy generation on a fixed held-out set."""

    every: Positive = Field(100, description="updates between two measurements; step 0 and the end always count")
    examples: Positive | None = Field(None, description="test questions a measurement uses; null: the whole split")
    validation_examples: Positive = Field(128, description="questions that decide whether a stage is learned")
    keep_best: bool = Field(
        False, description="also keep the model with the highest validation accuracy of all measurements"
    )
    latents: list[Count] = Field(
        [],
        description="at the end, answer the test questions with so many latents too: exactly so many where the method "
        "places them, at most so many where the model chooses",
    )
    check_every: Positive = Field(25, description="updates between two checks whether a stage is learned")
    batch_size: Positive = 256
    max_new_tokens: Positive = Field(64, description="text tokens a response may have")
    max_latents: Positive = Field(
        32, description="latents a response may have where the model chooses them; at least as many as in training"
    )
    max_latents_in_a_row: Positive = 4
    loop_tokens: Positive = Field(128, description="a response ends if one piece fills so many tokens at its end ...")
    loop_repeats: Annotated[int, Field(ge=2)] = Field(
        8, description="... and stands there at least so many times in a row"
    )
    sampling: Sampling | None = Field(None, description="null: responses are greedy alone")
    confidence: Probability = 0.95
    solved_at: Probability | None = Field(
        0.95,
        description="final accuracy from which a run counts as having solved its task, so that tables and figures give "
        "the share of seeds that solve it; null: runs do not either solve this task or fail",
    )

    @property
    def decoding(self) -> dict[str, int]:
        """How responses are decoded (`latents.generate.Decoding`), apart from the batch size."""
        return self.model_dump(include=DECODING)
