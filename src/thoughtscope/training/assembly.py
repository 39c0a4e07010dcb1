"""Puts a run together from its inputs: examples as token ids, the reasoner, the network that trains."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from thoughtscope.backbones.load import check_rows, load_backbone, rows_of
from thoughtscope.backbones.spellings import spellings
from thoughtscope.errors import UserError
from thoughtscope.latents.decoder import context_length
from thoughtscope.latents.settings import Fusion
from thoughtscope.methods.curriculum import Example, Stage
from thoughtscope.reasoner import Method, Reasoner, make_fill
from thoughtscope.training.hyperparameters import Evaluation
from thoughtscope.training.network import Network, add_tokens, freeze
from thoughtscope.training.settings import TrainSettings

if TYPE_CHECKING:
    from thoughtscope.latents.fill import Fill


@dataclass(frozen=True)
class Splits:
    """The examples of a run as token ids; `further` are the test sets beside `test`, by their splits."""

    train: list[Example]
    validation: list[Example]
    test: list[Example]
    further: dict[str, list[Example]]

    @property
    def all(self) -> list[Example]:
        """Every example."""
        own = [*self.train, *self.validation, *self.test]
        return own + [one for examples in self.further.values() for one in examples]


@dataclass(frozen=True)
class Parts:
    """What a run is made of.

    Attributes:
        new_rows: for each token that the method adds to the vocabulary, its id and that of the token it starts from.
        peft: holds the adapter of a frozen run, else None.
        spellings: for each control token that examples spell, how many do; see `backbones.spellings`.
    """

    reasoner: Reasoner
    network: Network
    stages: list[Stage]
    splits: Splits
    new_rows: list[tuple[int, int]]
    peft: Any
    spellings: dict[str, dict[str, Any]]


def assemble(
    settings: TrainSettings,
    rows: Sequence[Mapping[str, Any]],
    backbone: Path,
    seed: int,
    device: str,
    dtype: str = "float32",
) -> Parts:
    """Load the backbone, add the method's tokens and, if frozen, an adapter; encode the examples.

    Raises:
        UserError: the backbone does not load, a split is empty, an example has no answer or is longer than the
            model's context, or a setting is refused.
    """
    if settings.training.gradient_checkpointing:
        raise UserError(
            "training.gradient_checkpointing",
            "it would switch off the cache that latents need",
            "set it to false, and lower micro_batch_size to save memory",
        )
    if settings.lora and settings.deepspeed.get("zero_optimization", {}).get("stage", 0) == 3:
        raise UserError(
            f"config/deepspeed/{settings.training.deepspeed}.yaml: zero_optimization.stage",
            "stage 3 is for live runs: what a frozen one saves is merged from whole parameters",
            "use stage 0, 1 or 2",
        )
    method = Method.parse(settings.run.split("/")[2], settings.method)
    torch.manual_seed(seed)
    model, tokenizer = load_backbone(backbone, attention=settings.attention, dtype=dtype)
    embedded = rows_of(model)
    token_ids, new_rows = add_tokens(model, tokenizer, method.tokens, method.settings.initial_rows)
    peft = freeze(model, settings.lora, token_ids, seed) if settings.lora else None
    model = peft.get_base_model() if peft is not None else model
    most = max((len(row["steps"]) for row in rows if row["split"] == "train"), default=0)
    stages = method.stages(most)
    check_layers(stages, model)
    reasoner = Reasoner(model.to(device), tokenizer, method, stages[0], None, settings.prompting, most)
    network = Network(model, _fill(reasoner, stages))
    splits = _encode(reasoner, rows, settings)
    for one in splits.all:
        check_rows(embedded, tokenizer, [*one.prompt, *one.response], f"example {one.example_id}")
    check_context(reasoner, stages, splits, settings.evaluation)
    return Parts(reasoner, network, stages, splits, new_rows, peft, spellings(tokenizer, rows))


def _fill(reasoner: Reasoner, stages: Sequence[Stage]) -> Fill | None:
    """Return the module that holds the parameters of all fills: an adapter, if a stage has one."""
    filled = sorted((one for one in stages if one.fill is not None), key=lambda one: isinstance(one.fill, Fusion))
    if not filled:
        return None
    chosen = copy.copy(reasoner)
    chosen.stage = filled[-1]
    fill = make_fill(chosen, reasoner.model.config.get_text_config().hidden_size)
    return fill.to(reasoner.model.device) if fill is not None else None


def _encode(reasoner: Reasoner, rows: Sequence[Mapping[str, Any]], settings: TrainSettings) -> Splits:
    found: dict[str, list[Example]] = {"train": [], "validation": [], "test": []}
    for row in rows:
        found.setdefault(row["split"], []).append(reasoner.encode(row))
    for split, examples in found.items():
        if not examples:
            raise UserError(f"task of {settings.run}", f"split {split} is empty", "give it examples")
    found["validation"] = found["validation"][: settings.evaluation.validation_examples]
    tests = {split: found[split][: settings.evaluation.examples] for split in found if split.startswith("test")}
    return Splits(found["train"], found["validation"], tests.pop("test"), tests)


def check_context(reasoner: Reasoner, stages: Sequence[Stage], splits: Splits, evaluation: Evaluation) -> None:
    """Refuse an example that may not fit into the model's context, with the latents of any stage and its response.

    Raises:
        UserError: there is one; the longest is named.
    """
    context = context_length(reasoner.model.config.get_text_config())
    method, ids = reasoner.method, reasoner.ids
    chosen = evaluation.max_latents if any(stage.chosen for stage in stages) else 0

    def need(example: Example) -> int:
        forced = max(len(method.module.prompt(method.settings, one, example, ids).token_ids) for one in stages)
        return forced + chosen + max(len(example.response), evaluation.max_new_tokens)

    longest = max(splits.all, key=need)
    if context is not None and need(longest) > context:
        raise UserError(
            f"example {longest.example_id}",
            f"prompt ({len(longest.prompt)} tokens), latents and response may need {need(longest)} positions, "
            f"the model has {context}",
            "shorten or remove it, or lower evaluation.max_new_tokens",
        )


def check_layers(stages: Sequence[Stage], model: Any) -> None:
    """Refuse a fill that reads a layer which the model does not have.

    Raises:
        UserError: there is one.
    """
    layers = model.config.get_text_config().num_hidden_layers
    for stage in stages:
        layer = stage.fill.layer if stage.fill else None
        if layer is not None and layer > layers:
            raise UserError(
                f"stage {stage.name!r}: fill.layer",
                f"there is no layer {layer}, the model has {layers}",
                f"give 0 (embeddings) to {layers}, or null for the last after the norm",
            )


def use_stage(reasoner: Reasoner, network: Network, stage: Stage) -> None:
    """Let reasoner and network fill latents as `stage` does."""
    reasoner.stage, reasoner.fill = stage, None
    network.uses_fill = stage.fill is not None
    if stage.fill is not None and network.fill is not None:
        network.fill.settings = stage.fill
        reasoner.fill = network.fill
