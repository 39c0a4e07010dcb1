"""Stores what a backbone computes while it reads questions with given responses (teacher forcing).

Knows nothing about probes or figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor
from torch.nn import functional as F

from thoughtscope import schemas
from thoughtscope.artifacts import write_json
from thoughtscope.backbones.load import load_backbone
from thoughtscope.backbones.prompt import decoded, prompt_ids, response_ids
from thoughtscope.backbones.spellings import SPELLINGS, spellings
from thoughtscope.backbones.spellings import notes as spelling_notes
from thoughtscope.errors import UserError
from thoughtscope.hidden_states.capture import depth, describe, positions
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
    """Store all layers at every response token of every statement, and each token's surprisal.

    A row without a response (calibration) is stored at its question's tokens, without surprisals. The tokens with
    which all rows begin are left out, and so is the first of the sequence: models use it as a sink of attention, and
    its states are far larger than all others.

    Args:
        rows: `schemas.STATEMENTS`, all splits.

    Raises:
        UserError: a row that consists of one token.
    """
    device, dtype = device_and_dtype(settings.precision)
    stored = storage_type(settings.states.dtype, dtype)
    model, tokenizer = load_backbone(backbone, attention=settings.attention, dtype=dtype)
    model.to(device)
    spelled = spellings(tokenizer, rows)
    write_json(folder / SPELLINGS, spelled)
    for line in spelling_notes(spelled):
        print(line, flush=True)
    sequences = [_statement(tokenizer, settings.prompting, row) for row in rows]
    with (
        torch.no_grad(),
        StateWriter(folder, settings.run, model.config.get_text_config().hidden_size, stored) as writer,
        pq.ParquetWriter(folder / SURPRISALS, schemas.SURPRISALS) as surprisals,
    ):
        shared = shared_tokens(sequences)
        reader = Reader(model, shared)
        for part in trees(sequences, len(shared), settings.states.batch_size):
            found = _read(reader, tokenizer, part, writer)
            table = pa.Table.from_pylist([{"run": settings.run, **row} for row in found], schema=schemas.SURPRISALS)
            surprisals.write_table(table)
    layers = list(range(depth(model) + 1))
    describe(folder, model, tokenizer, stored=stored, layers=layers, steps=[0], examples=len(rows))


def _read(reader: Reader, tokenizer: Any, batch: Sequence[Tree], writer: StateWriter) -> Iterator[dict[str, Any]]:
    """Read a batch and store its states; yield the surprisal of each response token."""
    read, sequences = reader.read(batch), [text for tree in batch for text in tree.texts]
    places = [place for row, one in enumerate(sequences) for place in _places(row, one, read.start)]
    pieces = [[decoded(tokenizer, [token]) for token in one.token_ids] for one in sequences]
    about = positions(sequences, places, pieces, None)
    at = _indices(places, reader.model.device)
    for layer in range(len(read.layers)):
        writer.append("output", layer, 0, about, read.at(layer, *at).float().cpu().numpy())
    responded = [place for place in places if place.role == STATEMENT]
    if responded:
        for place, value in zip(responded, _surprisals(reader.model, read, sequences, responded), strict=True):
            yield {
                "example_id": sequences[place.row].example_id,
                "position": place.position,
                "surprisal": value,
            }


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


def _surprisals(model: Any, read: Read, sequences: Sequence[TokenSequence], places: Sequence[Place]) -> Iterator[float]:
    """Yield the negative log-likelihood of the token at each place, in nats."""
    rows, positions = _indices(places, model.device)
    pairs = torch.stack([read.nodes[rows, positions - read.start - back] for back in (1, 0)])
    once, places_of = torch.unique(pairs, dim=1, return_inverse=True)  # texts that begin alike are scored once
    first = torch.empty_like(once[0]).scatter_(0, places_of, torch.arange(len(places), device=model.device))
    targets = torch.tensor([sequences[one.row].token_ids[one.position] for one in places], device=model.device)[first]
    states = read.layers[-1].flatten(0, 1)[once[0]]
    found = [
        F.cross_entropy(logits(model, some).float(), wanted, reduction="none")
        for some, wanted in zip(torch.split(states, SCORED_AT_ONCE), torch.split(targets, SCORED_AT_ONCE), strict=True)
    ]
    yield from torch.cat(found)[places_of].tolist()


def _statement(tokenizer: Any, prompting: Prompting, row: Mapping[str, Any]) -> TokenSequence:
    prompt = prompt_ids(tokenizer, row["question"], prompting.chat, prompting.chat_arguments)
    return sequence(row["example_id"], prompt, response_ids(tokenizer, row["response"]) if row["response"] else [])
