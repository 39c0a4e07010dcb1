"""What both extractions share: which layers are stored, how states go to the writer, and what `states.json` says."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from thoughtscope.artifacts import write_json
from thoughtscope.errors import UserError
from thoughtscope.hidden_states.read import STATES
from thoughtscope.hidden_states.roles import Place, following
from thoughtscope.hidden_states.settings import HiddenStates
from thoughtscope.hidden_states.write import Position, StateWriter
from thoughtscope.latents.layout import TokenSequence
from thoughtscope.latents.packing import Batch

T = TypeVar("T")
ROWS_AT_ONCE = 8192  # of the embedding table


def depth(model: Any) -> int:
    """Return the number of a model's layers, which is also the index of the state after the final norm."""
    return int(model.config.get_text_config().num_hidden_layers)


def chosen_layers(states: HiddenStates, model: Any) -> list[int]:
    """Return the layers to store, 0 = embedding output; the last one, after the final norm, is always among them.

    Raises:
        UserError: the model has no such layer.
    """
    last = depth(model)
    if states.layers == "all":
        return list(range(last + 1))
    layers = {last} if states.layers == "last" else {*map(int, states.layers), last}
    if max(layers) > last:
        raise UserError("hidden_states.layers", f"no layer {max(layers)}", f"name layers from 0 to {last}")
    return sorted(layers)


def token_index(batch: Batch, places: Sequence[Place]) -> Tensor:
    """Return the token of the batch at each place, ``[places]``."""
    device = batch.index.device
    rows = torch.tensor([place.row for place in places], dtype=torch.long, device=device)
    return batch.index[rows, torch.tensor([place.position for place in places], dtype=torch.long, device=device)]


def positions(
    sequences: Sequence[TokenSequence], places: Sequence[Place], pieces: Sequence[Sequence[str]], names: Any
) -> list[Position]:
    """Return what is written about each place.

    Args:
        pieces: the text of each token of each sequence.
        names: the role of each token of each sequence.
    """
    found = []
    for place in places:
        row, t = place.row, place.position
        one = sequences[row]
        after = following(one, t) if place.latent_index is not None else None
        ahead = (None, None) if after is None else (pieces[row][after], names[row][after])
        token = one.token_ids[t]
        found.append(Position(one.example_id, t, place.latent_index, token, pieces[row][t], place.role, *ahead))
    return found


def store(
    writer: StateWriter, kind: str, layer: int | None, step: int, states: Tensor, at: Tensor, about: list[Position]
) -> None:
    """Hand the states ``[tokens, d]`` of the tokens `at` ``[places]`` to the writer."""
    writer.append(kind, layer, step, about, states[at].float().cpu().numpy())


def batches(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield `rows` in pieces of at most `size`."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def give_back_memory() -> None:
    """Return freed memory to the system: glibc keeps what lies between blocks in use, more with each batch."""
    with contextlib.suppress(AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def describe(
    folder: Path, model: Any, tokenizer: Any, *, stored: str, layers: list[int], steps: list[int], examples: int
) -> None:
    """Write `states.json`.

    Args:
        stored: the type of the stored vectors.
        steps: the optimiser steps of the checkpoints.
        examples: how many questions were answered or statements read.
    """
    facts = {
        "width": model.config.get_text_config().hidden_size,
        "dtype": stored,
        "precision": str(model.dtype).removeprefix("torch."),
        "layers": layers,
        "final_norm_layer": depth(model),
        "checkpoints": steps,
        "examples": examples,
        "embedding_norm": embedding_norm(model, len(tokenizer)),
    }
    write_json(folder / STATES, facts)


@torch.no_grad()
def embedding_norm(model: Any, tokens: int) -> float:
    """Return the mean norm of what the embedding module returns for each of `tokens` ids.

    Rows that pad the table to a round number belong to no token and are left out.
    """
    embedding = model.get_input_embeddings()
    ids = torch.arange(min(tokens, embedding.weight.shape[0]), device=model.device)
    norms = [embedding(part).float().norm(dim=1) for part in torch.split(ids, ROWS_AT_ONCE)]
    return float(torch.cat(norms).double().mean())
