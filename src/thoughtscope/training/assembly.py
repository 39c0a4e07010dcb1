"""Builds the parts of a run from its inputs: examples as token ids, the reasoner, the network that trains."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from thoughtscope.backbones.load import check_rows, load_backbone, rows_of
from thoughtscope.errors import UserError
from thoughtscope.latents.decoder import context_length
from thoughtscope.methods.curriculum import Example, Stage
from thoughtscope.reasoner import Prompting, Reasoner, fill_modules, read_method
from thoughtscope.run_id import RunId
from thoughtscope.training.examples import Examples, Tokenised, read, tokenise
from thoughtscope.training.hyperparameters import Evaluation
from thoughtscope.training.network import Network, add_tokens, freeze
from thoughtscope.training.ranks import Ranks
from thoughtscope.training.settings import TrainSettings


@dataclass(frozen=True)
class Splits:
    """The examples of a run as token ids; `further` are the test sets beside `test`, by their splits."""

    train: Examples
    validation: list[Example]
    test: list[Example]
    further: dict[str, list[Example]]

    @property
    def longest(self) -> list[Example]:
        """The training examples with the longest prompt and the longest text, and every other example."""
        own = [*self.train.longest(1), *self.train.longest(1, prompt_alone=True), *self.validation, *self.test]
        return own + [one for examples in self.further.values() for one in examples]


@dataclass(frozen=True)
class Parts:
    """The parts of a run.

    Attributes:
        new_rows: for each token that the method adds to the vocabulary, its id and that of the token it starts from.
        peft: the PEFT model around a backbone with an adapter; None: the backbone itself trains.
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
    rows: Iterable[Mapping[str, Any]],
    backbone: Path,
    seed: int,
    device: str,
    dtype: str = "float32",
    tokens: Path | None = None,
    load: Callable[..., tuple[Any, Any]] = load_backbone,
) -> Parts:
    """Load the backbone, add the method's tokens and, for `trainable: lora`, an adapter; open the examples.

    All ranks must call it.

    Args:
        rows: `schemas.REASONING`; only read if `tokens` does not hold them yet.
        tokens: the folder of the task's examples as token ids; None: a temporary one.
        load: returns the model and the tokenizer of `backbone`, as `load_backbone` does.

    Raises:
        UserError: the backbone does not load, a split is empty, an example has no answer or is longer than the
            model's context, or a setting is refused.
    """
    if settings.lora and settings.deepspeed.zero_optimization.stage == 3:
        raise UserError(
            f"config/deepspeed/{settings.training.deepspeed}.yaml: zero_optimization.stage",
            "stage 3 is for trainable: full; PEFT's layers of trained tokens read whole parameters",
            "use stage 0, 1 or 2",
        )
    method = read_method(settings.method, f"method {RunId.parse(settings.run).method}")
    torch.manual_seed(seed)
    model, tokenizer = load(backbone, attention=settings.attention, dtype=dtype)
    embedded = rows_of(model)
    token_ids, new_rows = add_tokens(model, tokenizer, method.tokens, method.initial_rows)
    peft = freeze(model, settings.lora, token_ids, seed) if settings.lora else None
    model = peft.get_base_model() if peft is not None else model
    tokenised = _tokenised(tokenizer, settings.prompting, rows, tokens)
    stages = method.stages(tokenised.steps)
    check_layers(stages, model)
    fills = fill_modules(stages, model.config.get_text_config().hidden_size)
    for fill in fills.values():
        fill.to(device)
    reasoner = Reasoner(model.to(device), tokenizer, method, stages[0], fills, settings.prompting, tokenised.steps)
    auxiliary = method.auxiliary(model)
    if auxiliary is not None and settings.deepspeed.zero_optimization.stage == 3:
        raise UserError(
            f"config/deepspeed/{settings.training.deepspeed}.yaml: zero_optimization.stage",
            "stage 3 cannot shard the modules that this method trains beside the model",
            "use stage 0, 1 or 2",
        )
    auxiliary = None if auxiliary is None else auxiliary.to(device)
    network = Network(model, fills, method.loss, auxiliary, settings.training.gradient_checkpointing)
    splits = _splits(tokenised, settings)
    check_rows(embedded, tokenizer, tokenised.largest[:1], f"example {tokenised.largest[1]}")
    check_context(reasoner, stages, splits.longest, settings.evaluation)
    return Parts(reasoner, network, stages, splits, new_rows, peft, tokenised.spellings)


def _tokenised(
    tokenizer: Any, prompting: Prompting, rows: Iterable[Mapping[str, Any]], folder: Path | None
) -> Tokenised:
    """Return the examples as token ids; the first rank writes those that are not there yet, for all ranks."""
    if folder is None:
        with tempfile.TemporaryDirectory() as place:
            tokenise(tokenizer, prompting, rows, Path(place) / "tokens")
            return read(Path(place) / "tokens")  # a mapped file stays readable without its name
    ranks = Ranks.here()
    if ranks.first:
        tokenise(tokenizer, prompting, rows, folder)
    ranks.wait()
    return read(folder)


def _splits(tokenised: Tokenised, settings: TrainSettings) -> Splits:
    found = tokenised.splits
    for split in ("train", "validation", "test"):
        if split not in found:
            raise UserError(f"task of {settings.run}", f"split {split} is empty", "give it examples")
    tests = {split: found[split][: settings.evaluation.examples] for split in found if split.startswith("test")}
    validation = found["validation"][: settings.evaluation.validation_examples]
    return Splits(found["train"], validation, tests.pop("test"), tests)


def check_context(
    reasoner: Reasoner, stages: Sequence[Stage], examples: Sequence[Example], evaluation: Evaluation
) -> None:
    """Refuse an example that may not fit into the model's context, with the latents of any stage and its response.

    How many latents a prompt has depends on the stage alone, so the longest `examples` are enough.

    Raises:
        UserError: there is one; the longest is named.
    """
    context = context_length(reasoner.model.config.get_text_config())
    chosen = max([evaluation.max_latents if any(stage.chosen for stage in stages) else 0, *evaluation.latents])

    def need(example: Example) -> int:
        forced = max(len(reasoner.at(stage).prompt(example).token_ids) for stage in stages)
        return forced + chosen + max(len(example.response), evaluation.max_new_tokens)

    longest = max(examples, key=need)
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
