"""The settings of a backbone file. Imports no torch, so that the config loads quickly."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from thoughtscope.settings import Commit, Hosted, Look, Positive, PositiveFloat, Probability, Strict

GIVEN_FILES = (
    "*.json",
    "*.jinja",
    "*.model",
    "merges.txt",
    "*.safetensors",
)  # the files of a model folder that are read
USED = {  # keys that belong to one source only
    "tiny": {"model_type", "config", "embedding_std", "pretraining"},
    "folder": {"path", "chat", "chat_arguments", "facts"},
    "hub": {"hub_id", "revision", "chat", "chat_arguments", "facts"},
    "gguf": {"path", "package", "version", "file", "sha256", "chat", "chat_arguments", "facts"},
}
NEEDED = {
    "tiny": ("model_type",),
    "folder": ("path",),
    "hub": ("hub_id",),
    "gguf": ("package", "version", "file", "sha256"),
}
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Pretraining(Strict):
    """How a tiny backbone is pre-trained before any method starts; the same for every family.

    The pre-training texts of a task of questions are its training questions with their steps, so that methods start, as
    published ones do, from a model that reasons in words.
    """

    tasks: list[str] = Field([], description="tasks whose pre-training texts are learned")
    updates: Positive = 300
    batch_size: Positive = 64
    learning_rate: PositiveFloat = 3e-3
    warmup: Probability = 0.05
    min_accuracy: Probability = Field(
        0.0,
        description="share of validation questions that it must answer in words, step by step. Pre-training ends soon "
        "after it does; too few `updates` to get there are an error. 0: pre-training takes all `updates`",
    )


class Facts(Strict):
    """Facts about published weights, which do not affect training; null: unknown."""

    sources: list[str] = Field([], description="where the facts and the `training` of the file come from")
    parameters: Positive | None = Field(
        None, description="number of parameters of the part that is used; tied embeddings count once"
    )
    context: Positive | None = Field(None, description="longest sequence in positions (max_position_embeddings)")
    tied_embeddings: bool | None = None
    sliding_window: Positive | None = Field(
        None, description="window of sliding-window layers in positions; null: there are none"
    )
    bos: str | None = Field(None, description="the token at the start of a prompt; null: none")
    ends: list[str] = Field([], description="tokens that end a response; the first is the one in training")
    gated: bool | None = Field(None, description="whether the hub requires accepting terms")
    stage_epochs: dict[str, list[Positive]] = Field({}, description="by method: the published epochs of its stages")


class Settings(Hosted):
    """A backbone: `tiny` is built from the Transformers class of `model_type`; the others are loaded.

    A tiny backbone is built once for each seed of the runs that use it.
    """

    source: Literal["tiny", "folder", "hub", "gguf"]
    label: str = Field(..., description="the family's name as figures print it")
    look: Look | None = Field(None, description="how figures draw it; null: a look that is unused in the figure")
    full_look: Look | None = Field(None, description="look of its live runs in figures of live and frozen runs")
    model_type: str | None = Field(None, description="tiny: key of Transformers' AutoConfig, e.g. qwen3")
    config: dict[str, Any] = Field({}, description="tiny: arguments of the model's configuration class")
    embedding_std: PositiveFloat = Field(1.0, description="tiny: standard deviation of the initial input embeddings")
    pretraining: dict[str, Any] = Field({}, description="tiny: overrides of the main file's `pretraining`")
    path: str | None = Field(None, description="folder: a Hugging Face model folder; gguf: a file")
    package: str | None = Field(None, description="gguf: an installed Python package with the file, instead of path")
    version: str | None = Field(None, description="gguf: the package's version")
    file: str | None = Field(None, description="gguf: the name of the file in the package")
    sha256: Digest | None = Field(None, description="gguf: SHA-256 of the file; required for a package")
    hub_id: str | None = Field(None, description="hub: owner/name")
    revision: Commit | None = Field(None, description="hub: the commit to load; null: the one that `make pin` found")
    attention: Literal["eager", "sdpa"] = Field(
        "sdpa",
        description="attention implementation of Transformers; flash kernels do not support the masks of latents",
    )
    chat: bool = Field(True, description="apply the tokenizer's chat template to questions")
    chat_arguments: dict[str, Any] = Field({}, description="passed to the chat template, e.g. enable_thinking: false")
    training: dict[str, Any] = Field({}, description="overrides of the main file's `training`")
    compute: dict[str, Any] = Field({}, description="overrides of the main file's `compute`")
    facts: Facts = Facts()

    @field_validator("attention", mode="before")
    @classmethod
    def _flash_cannot_take_masks(cls, value: object) -> object:
        if "flash" in str(value) or value == "flex_attention":
            raise ValueError("latents need masks of their own, which flash kernels cannot take: use sdpa")
        return value

    @model_validator(mode="after")
    def _source_has_what_it_needs(self) -> Settings:
        for key in NEEDED[self.source] if self.source != "gguf" or self.path is None else ():
            if getattr(self, key) is None:
                raise ValueError(f"source {self.source} needs {key}" + (", or path" if self.source == "gguf" else ""))
        if self.path is not None and any((self.package, self.version, self.file)):
            raise ValueError("give path, or package with version, file and sha256")
        return self

    @model_validator(mode="after")
    def _every_key_has_an_effect(self) -> Settings:
        for key in sorted(set().union(*USED.values()) - USED[self.source]):
            if getattr(self, key) != Settings.model_fields[key].default:
                raise ValueError(f"source {self.source} does not use {key}: remove it")
        return self
