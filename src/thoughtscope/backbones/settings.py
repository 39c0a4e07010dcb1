"""What a backbone file may say. Imports no torch: the workflow reads this while it is parsed."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from thoughtscope.settings import Positive, PositiveFloat, Probability, Strict


class Pretraining(Strict):
    """How a tiny backbone learns its language before any method starts; the same for every family."""

    tasks: list[str] = Field(..., description="tasks whose pre-training texts are learned")
    updates: Positive = 300
    batch_size: Positive = 64
    learning_rate: PositiveFloat = 3e-3
    warmup: Probability = 0.05
    seed: int = 0


class Settings(Strict):
    """A backbone: `tiny` is built from the Transformers class of `model_type`; the others are loaded."""

    source: Literal["tiny", "folder", "hub"]
    label: str = Field(..., description="the family's name as figures print it")
    model_type: str | None = Field(None, description="tiny: key of Transformers' AutoConfig, e.g. qwen3")
    config: dict[str, Any] = Field({}, description="tiny: arguments of the model's configuration class")
    embedding_std: PositiveFloat = Field(1.0, description="tiny: spread of the initial input embeddings")
    seed: int = Field(0, description="tiny: seed of the initial weights")
    pretraining: dict[str, Any] = Field({}, description="tiny: overrides of the main file's `pretraining`")
    path: str | None = Field(None, description="folder: a Hugging Face model folder")
    hub_id: str | None = Field(None, description="hub: owner/name")
    revision: str | None = Field(None, description="hub: the commit to load")
    attention: Literal["eager", "sdpa"] = Field("sdpa", description="Transformers attention implementation")
    chat: bool = Field(True, description="put the question through the tokenizer's chat template")
    chat_arguments: dict[str, Any] = Field({}, description="passed to the chat template, e.g. enable_thinking: false")
    training: dict[str, Any] = Field({}, description="overrides of the main file's `training`")

    @model_validator(mode="after")
    def _source_has_what_it_needs(self) -> Settings:
        needed = {"tiny": "model_type", "folder": "path", "hub": "hub_id"}[self.source]
        if getattr(self, needed) is None:
            raise ValueError(f"source {self.source} needs {needed}")
        return self
