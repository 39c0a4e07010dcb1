"""The trained network: a backbone with the method's tokens, whole (`full`) or through an adapter (`lora`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from thoughtscope.backbones.encoder import add_control_tokens
from thoughtscope.errors import UserError
from thoughtscope.latents.fill import Fill
from thoughtscope.methods.minibatch import Learner, MicroBatch, cross_entropy
from thoughtscope.training.hyperparameters import Lora


class Network(nn.Module):
    """Everything that trains, in one module, so that the engine sees it: a causal LM, its fills, auxiliary modules.

    Args:
        model: a Transformers causal LM.
        fill_modules: parameters of fills by kind, as in `Reasoner.fill_modules`.
        loss: of a micro-batch, as in `BaseMethod.loss`.
        auxiliary: what trains along and is not saved with the model, as in `BaseMethod.auxiliary`.
        recompute: see `latents.forward.forward`.
    """

    def __init__(
        self,
        model: Any,
        fill_modules: Mapping[str, nn.Module],
        loss: Callable[[Learner, MicroBatch], Tensor] = cross_entropy,
        auxiliary: nn.Module | None = None,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.model, self.fills, self.auxiliary = model, nn.ModuleDict(fill_modules), auxiliary
        self.loss, self.recompute = loss, recompute

    def forward(self, micro: MicroBatch, fill: Fill | None) -> Tensor:
        """Return the micro-batch's share of the loss of the update, a scalar ``[]``.

        Args:
            fill: what is fed at its latents, with parameters of this module; None: it has none.
        """
        return self.loss(Learner(self.model, fill, self.auxiliary, self.recompute), micro)


def add_tokens(
    model: Any, tokenizer: Any, tokens: Sequence[str], initial_rows: Mapping[str, str]
) -> tuple[list[int], list[tuple[int, int]]]:
    """Add `tokens` to the vocabulary, and initialise the rows of those that are new to it.

    A token that the vocabulary has already (in the model folder of an earlier run) keeps its learned rows.

    Args:
        initial_rows: for a token, the text whose last token it starts from; EOS for those not named
            (as LT-Tuning does; Coconut starts from an existing token too). A special token may be named here.

    Returns:
        The id of each of `tokens`; and for each new one its id and the id of the token that its rows are copies of.

    Raises:
        UserError: `initial_rows` gives a text without tokens.
    """
    size = model.get_input_embeddings().weight.shape[0]
    vocabulary = tokenizer.get_vocab()
    new = [token for token in tokens if vocabulary.get(token, size) >= size]
    add_control_tokens(tokenizer, tokens)
    if len(tokenizer) > size:
        multiple = 64 if size % 64 == 0 else None  # matrix units are slow at odd sizes: keep it where it was one
        model.resize_token_embeddings(len(tokenizer), pad_to_multiple_of=multiple, mean_resizing=False)
    rows = [(int(tokenizer.convert_tokens_to_ids(token)), _source(tokenizer, token, initial_rows)) for token in new]
    copy_rows({name: value.data for name, value in _token_tables(model)}, rows)
    return [int(tokenizer.convert_tokens_to_ids(token)) for token in tokens], rows


def _source(tokenizer: Any, token: str, initial_rows: Mapping[str, str]) -> int:
    """Return the id of the token that the rows of a new token start from."""
    text = initial_rows.get(token)
    if not text:
        return int(tokenizer.eos_token_id)
    ids = tokenizer.encode(text, add_special_tokens=False)
    if not ids:
        raise UserError(f"method: initial_rows.{token}", f"{text!r} has no tokens", "name a text that has some")
    return int(ids[-1])


def copy_rows(tables: Mapping[str, Tensor], rows: Sequence[tuple[int, int]]) -> None:
    """Set, in each table ``[vocabulary, d]`` (or ``[vocabulary]``), every target row to a copy of its source row."""
    for table in tables.values():
        for target, source in rows:
            table[target] = table[source]


def token_tables(network: Network) -> list[str]:
    """Return the names of the network's parameters that have a row for each token: embeddings and output head."""
    return [f"model.{name}" for name, _ in _token_tables(network.model)]


def _table_modules(model: Any) -> list[str]:
    """Return the names of the embedding module and, unless it shares the embeddings' weights, of the output head."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    modules = [embedding] if head.weight is embedding.weight else [embedding, head]
    return [name for name, module in model.named_modules() if any(module is table for table in modules)]


def _token_tables(model: Any) -> list[tuple[str, Tensor]]:
    head = model.get_output_embeddings()
    tables = [model.get_input_embeddings().weight, head.weight, getattr(head, "bias", None)]
    return [(name, value) for name, value in model.named_parameters() if any(value is table for table in tables)]


def _more_than_linear(model: Any) -> list[str] | None:
    """Return the names of the linear layers with a forward of their own; an adapter would replace it."""
    found = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and type(module).forward is not nn.Linear.forward
    ]
    return found or None


def freeze(model: Any, lora: Lora, token_ids: list[int], seed: int) -> Any:
    """Fix every parameter of `model` and inject a LoRA adapter; the rows of `token_ids` train as well.

    `all-linear` leaves out routers of experts and the like: linear layers whose class computes more than a product.

    Returns:
        the PEFT model; `get_base_model` returns the same causal LM with adapters injected.

    Raises:
        UserError: `target_modules` matches no module.
    """
    tables = dict.fromkeys(_table_modules(model), token_ids)
    lora = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules,
        exclude_modules=_more_than_linear(model) if lora.target_modules == "all-linear" else None,
        trainable_token_indices=tables if token_ids else None,
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(seed)
    try:
        return get_peft_model(model, lora)
    except ValueError as error:
        raise UserError("lora.target_modules", str(error).split(".")[0], "name modules the backbone has") from error


def frozen_parameters(model: Any) -> dict[str, Tensor]:
    """Return the parameters of a model that do not train, by name."""
    return {name: value for name, value in model.named_parameters() if not value.requires_grad}
