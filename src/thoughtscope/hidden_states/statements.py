"""Stores what a backbone computes while it reads questions with given responses (teacher forcing).

Knows nothing about probes or figures.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from thoughtscope import schemas
from thoughtscope.artifacts import write_json
from thoughtscope.backbones.load import load_backbone
from thoughtscope.backbones.prompt import decoded, prompt_ids, response_ids
from thoughtscope.backbones.spellings import SPELLINGS, spellings
from thoughtscope.backbones.spellings import notes as spelling_notes
from thoughtscope.errors import UserError
from thoughtscope.hidden_states.capture import batches, depth, describe, give_back_memory, positions
from thoughtscope.hidden_states.parts import PARTS, Parts
from thoughtscope.hidden_states.read import REPEATS
from thoughtscope.hidden_states.reading import Read, Reader, Tree, shared_tokens, trees
from thoughtscope.hidden_states.roles import QUESTION, STATEMENT, Place
from thoughtscope.hidden_states.settings import HiddenStates
from thoughtscope.hidden_states.write import SURPRISALS, StateWriter, storage_type
from thoughtscope.latents.head import logits
from thoughtscope.latents.layout import TokenSequence, sequence
from thoughtscope.reasoner import Prompting, device_and_dtype
from thoughtscope.settings import Strict

SCORED_AT_ONCE = 128  # tokens whose scores over the vocabulary are held


class StatementsSettings(Strict):
    """What to store of a backbone that reads statements: all layers at all tokens of the responses."""

    run: str
    states: HiddenStates = HiddenStates()
    prompting: Prompting = Prompting()
    attention: str = "sdpa"
    precision: Literal["auto", "float32", "bf16"] = "auto"


def extract_statements(
    settings: StatementsSettings, backbone: Path, rows: Sequence[Mapping[str, Any]], folder: Path
) -> None:
    """Store all layers at every response token of every statement, and surprisals; see `read_statements`."""
    parts = Parts(folder / PARTS)
    read_statements(settings, backbone, rows, parts)
    parts.collect(folder)
    parts.discard()


@torch.no_grad()
def read_statements(
    settings: StatementsSettings, backbone: Path, rows: Sequence[Mapping[str, Any]], parts: Parts
) -> None:
    """Compute and store this process's parts of an extraction.

    A row without a response (calibration) is stored at its question's tokens, without surprisals. The tokens with
    which all rows begin are left out, and so is the first of the sequence: models use it as a sink of attention, and
    its states are far larger than all others. What statements about one question begin with is stored once.

    Args:
        rows: `schemas.STATEMENTS`, all splits.

    Raises:
        UserError: a row that consists of one token.
    """
    device, dtype = device_and_dtype(settings.precision)
    model, tokenizer = load_backbone(backbone, attention=settings.attention, dtype=dtype)
    model.to(device)
    spelled = spellings(tokenizer, rows)
    for line in spelling_notes(spelled):
        print(line, flush=True)
    sequences = [statement(tokenizer, settings.prompting, row) for row in rows]
    shared = shared_tokens(sequences)
    batched = list(batches(list(trees(sequences, len(shared), settings.states.batch_size)), parts.batches))
    missing = parts.missing(len(batched))
    if not missing:
        return
    stored, reader = storage_type(settings.states.dtype, dtype), Reader(model, shared)
    piece = functools.cache(lambda token: decoded(tokenizer, [token]))
    for number in missing:
        with parts.write(number) as folder:
            read_part(reader, piece, batched[number], settings.run, stored, folder)
            if number == len(batched) - 1:
                write_json(folder / SPELLINGS, spelled)
                layers = list(range(depth(model) + 1))
                describe(folder, model, tokenizer, stored=stored, layers=layers, steps=[0], examples=len(rows))


def read_part(
    reader: Reader, piece: Callable[[int], str], part: Sequence[Sequence[Tree]], run: str, stored: str, folder: Path
) -> None:
    """Read the batches of a part and store what they give.

    Args:
        piece: the text of a token.
        stored: the type of the stored vectors.
    """
    width = reader.model.config.get_text_config().hidden_size
    with (
        StateWriter(folder, run, width, stored) as writer,
        pq.ParquetWriter(folder / SURPRISALS, schemas.SURPRISALS) as surprisals,
        pq.ParquetWriter(folder / REPEATS, schemas.REPEATS) as repeats,
    ):
        for batch in part:
            found, same = _read(reader, piece, batch, writer)
            for table, rows in ((surprisals, found), (repeats, same)):
                columns = [{"run": run, **row} for row in rows]
                table.write_table(pa.Table.from_pylist(columns, schema=table.schema))
            give_back_memory()


def _read(
    reader: Reader, piece: Callable[[int], str], batch: Sequence[Tree], writer: StateWriter
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Read a batch and store its states; return the surprisal of each response token, and which states repeat which."""
    read, sequences = reader.read(batch), [text for tree in batch for text in tree.texts]
    places = [place for row, one in enumerate(sequences) for place in _places(row, one, read.start)]
    rows, at = _indices(places, reader.model.device)
    first: dict[int, Place] = {}
    same = []
    for place, node in zip(places, read.nodes[rows, at - read.start].tolist(), strict=True):
        other = first.setdefault(node, place)
        if other is not place:
            names = {"example_id": sequences[place.row].example_id, "same_as": sequences[other.row].example_id}
            same.append({**names, "position": place.position})
    pieces = [[piece(token) for token in one.token_ids] for one in sequences]
    about = positions(sequences, list(first.values()), pieces, None)
    nodes = torch.tensor(list(first), device=reader.model.device)
    for layer, states in enumerate(read.layers):
        writer.append("output", layer, 0, about, states.flatten(0, 1)[nodes].float().cpu().numpy())
    responded = [place for place in places if place.role == STATEMENT]
    values = _surprisals(reader.model, read, sequences, responded) if responded else []
    found = [
        {"example_id": sequences[place.row].example_id, "position": place.position, "surprisal": value}
        for place, value in zip(responded, values, strict=True)
    ]
    return found, same


def _places(row: int, one: TokenSequence, shared: int) -> list[Place]:
    """Return the positions of a response, or of the question where nothing is responded; never position 0."""
    length = len(one.token_ids)
    if one.prompt_length < length:
        start, role = one.prompt_length, STATEMENT
    else:
        start, role = max(1, shared), QUESTION
    if start >= length:
        raise UserError(f"example {one.example_id}", "its text is a single token", "lengthen or remove it")
    return [Place(row, t, None, role) for t in range(start, length)]


def _indices(places: Sequence[Place], device: torch.device) -> tuple[Tensor, Tensor]:
    rows = torch.tensor([place.row for place in places], dtype=torch.long, device=device)
    return rows, torch.tensor([place.position for place in places], dtype=torch.long, device=device)


def _surprisals(model: Any, read: Read, sequences: Sequence[TokenSequence], places: Sequence[Place]) -> list[float]:
    """Return the negative log-likelihood of the token at each place, in nats.

    Each state is scored once, however many texts go on from it.
    """
    rows, at = _indices(places, model.device)
    targets = torch.tensor([sequences[one.row].token_ids[one.position] for one in places], device=model.device)
    before, which = torch.unique(read.nodes[rows, at - read.start - 1], return_inverse=True)
    states = read.layers[-1].flatten(0, 1)[before]
    found = torch.empty(len(places), device=model.device)
    for start in range(0, len(states), SCORED_AT_ONCE):
        scores = logits(model, states[start : start + SCORED_AT_ONCE]).float().log_softmax(dim=1)
        here = torch.nonzero((which >= start) & (which < start + SCORED_AT_ONCE)).squeeze(1)
        some = which[here] - start
        found[here] = -scores[some, targets[here]]
    values: list[float] = found.tolist()
    return values


def statement(tokenizer: Any, prompting: Prompting, row: Mapping[str, Any]) -> TokenSequence:
    """Return the tokens of a row of `schemas.STATEMENTS`."""
    prompt = prompt_ids(tokenizer, row["question"], prompting.chat, prompting.chat_arguments)
    return sequence(row["example_id"], prompt, response_ids(tokenizer, row["response"]) if row["response"] else [])
