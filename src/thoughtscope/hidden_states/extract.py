"""Computes hidden states of what is on disk, batch by batch, and hands them to the writer.

    extract_latents      a run's checkpoints answer test questions freely; one more forward over what they
                         wrote gives the vector fed at each latent and the states there
    extract_statements   a backbone reads questions with given responses (teacher forcing)

Knows nothing about probes or figures.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch.nn import functional as F

from thoughtscope import tables
from thoughtscope.artifacts import write_json
from thoughtscope.backbones.load import load_backbone
from thoughtscope.backbones.prompt import decoded, prompt_ids, response_ids
from thoughtscope.backbones.spellings import SPELLINGS, spellings
from thoughtscope.backbones.spellings import notes as spelling_notes
from thoughtscope.errors import UserError
from thoughtscope.evaluation.accuracy import prediction
from thoughtscope.hidden_states.read import STATES
from thoughtscope.hidden_states.settings import HiddenStates
from thoughtscope.hidden_states.write import GENERATIONS, SURPRISALS, Position, StateWriter, storage_type
from thoughtscope.latents.generate import Decoding
from thoughtscope.latents.head import logits
from thoughtscope.latents.layout import Sequence as TokenSequence
from thoughtscope.latents.layout import sequence
from thoughtscope.latents.packing import Batch, pack
from thoughtscope.latents.passes import Trace, forward
from thoughtscope.reasoner import Prompting, Reasoner, device_and_dtype, load_reasoner
from thoughtscope.settings import Strict

T = TypeVar("T")


class LatentsSettings(Strict):
    """What to store of a run: the vectors at its latents while it answers test questions."""

    run: str
    states: HiddenStates = HiddenStates()
    decoding: Decoding = Decoding()


class StatementsSettings(Strict):
    """What to store of a backbone that reads statements: all layers at all tokens of the responses."""

    run: str
    states: HiddenStates = HiddenStates()
    prompting: Prompting = Prompting()
    attention: str = "sdpa"


@dataclass(frozen=True)
class Place:
    """A position to store: row of the batch, position in the sequence, and its number among the latents, if any."""

    row: int
    position: int
    latent_index: int | None


def extract_latents(settings: LatentsSettings, run: Path, rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Store what the checkpoints of a run feed and compute at latents; text states of the last one as reference.

    Args:
        run: a run's folder: `model/`, `checkpoints/stepNNNNNN/`, `schedule.json`.
        rows: `tables.REASONING`; the first test questions are answered.

    Raises:
        UserError: there is no test question, or a layer that the model does not have.
    """
    rows = [row for row in rows if row["split"] == "test"][: settings.states.examples]
    if not rows:
        raise UserError(f"task of {settings.run}", "split test is empty", "give it examples")
    kept = checkpoints(run)
    device, dtype = device_and_dtype("auto")
    stored = storage_type(settings.states.dtype, dtype)
    reasoner = load_reasoner(kept[-1][1], device=device, dtype=dtype)
    layers = chosen_layers(settings.states, reasoner.model)
    width = reasoner.model.config.get_text_config().hidden_size
    with (
        StateWriter(folder, settings.run, width, stored) as writer,
        pq.ParquetWriter(folder / GENERATIONS, tables.PREDICTIONS) as generations,
    ):
        for step, path in kept:
            last = step == kept[-1][0]
            one = reasoner if last else load_reasoner(path, device=device, dtype=dtype)
            for part in batches(rows, settings.states.batch_size):
                answered = _answer(one, part, settings, layers, writer, step, last)
                layout = tables.LAST if last else tables.CURRENT
                common = {"run": settings.run, "step": step, "layout": layout, "split": "test"}
                answers = [{**common, **row} for row in answered]
                generations.write_table(pa.Table.from_pylist(answers, schema=tables.PREDICTIONS))
    _describe(folder, reasoner.model, stored, layers, [step for step, _ in kept], len(rows))


@torch.no_grad()
def _answer(
    reasoner: Reasoner,
    rows: Sequence[Mapping[str, Any]],
    settings: LatentsSettings,
    layers: list[int],
    writer: StateWriter,
    step: int,
    with_text: bool,
) -> list[dict[str, Any]]:
    """Answer questions, store the states of what was written, and return the answers."""
    examples = [reasoner.encode(row) for row in rows]
    generations = reasoner.generate(examples, settings.decoding)
    sequences = [one.sequence(-1 if reasoner.latent_id is None else reasoner.latent_id) for one in generations]
    batch = pack(sequences, reasoner.fill.settings if reasoner.fill else None, device=reasoner.model.device)
    trace = forward(reasoner.model, batch, reasoner.fill, layers)
    own = set(reasoner.ids.ids.values())
    latents = list(_latent_places(sequences))
    text = list(_text_places(sequences, own)) if with_text else []
    for kind, layer, states in [("input", None, trace.inputs), *(("output", i, trace.layers[i]) for i in layers)]:
        chosen = latents if layer is None else latents + text
        _store(writer, kind, layer, step, states, batch, sequences, chosen, reasoner.tokenizer)
    pairs = zip(examples, generations, strict=True)
    return [prediction(reasoner, example, generation) for example, generation in pairs]


def extract_statements(
    settings: StatementsSettings, backbone: Path, rows: Sequence[Mapping[str, Any]], folder: Path
) -> None:
    """Store all layers at every response token of every statement, and each token's surprisal.

    A row without a response (calibration) is stored at its question's tokens.

    Args:
        rows: `tables.STATEMENTS`, all splits.
    """
    device, dtype = device_and_dtype("auto")
    stored = storage_type(settings.states.dtype, dtype)
    model, tokenizer = load_backbone(backbone, attention=settings.attention, dtype=dtype)
    model.to(device)
    spelled = spellings(tokenizer, rows)
    write_json(folder / SPELLINGS, spelled)
    for line in spelling_notes(spelled):
        print(line, flush=True)
    layers = list(range(model.config.get_text_config().num_hidden_layers + 1))
    width = model.config.get_text_config().hidden_size
    with (
        StateWriter(folder, settings.run, width, stored) as writer,
        pq.ParquetWriter(folder / SURPRISALS, tables.SURPRISALS) as surprisals,
    ):
        for part in batches(rows, settings.states.batch_size):
            sequences = [_statement(tokenizer, settings.prompting, row) for row in part]
            _read(model, tokenizer, sequences, layers, settings.run, writer, surprisals)
    _describe(folder, model, stored, layers, [0], len(rows))


@torch.no_grad()
def _read(
    model: Any,
    tokenizer: Any,
    sequences: Sequence[TokenSequence],
    layers: list[int],
    run: str,
    writer: StateWriter,
    surprisals: pq.ParquetWriter,
) -> None:
    batch = pack(sequences, None, device=model.device)
    trace = forward(model, batch, None, layers)
    places = list(_spoken_places(sequences))
    for layer in layers:
        _store(writer, "output", layer, 0, trace.layers[layer], batch, sequences, places, tokenizer)
    seen = [place for place in places if place.position > 0]
    values = _surprisal(model, trace, batch, sequences, seen)
    found = [
        {"run": run, "example_id": sequences[place.row].example_id, "position": place.position, "surprisal": value}
        for place, value in zip(seen, values, strict=True)
    ]
    surprisals.write_table(pa.Table.from_pylist(found, schema=tables.SURPRISALS))


def _surprisal(
    model: Any, trace: Trace, batch: Batch, sequences: Sequence[TokenSequence], places: Sequence[Place]
) -> list[float]:
    """Return the negative log-likelihood of the token at each place, in nats."""
    rows = torch.tensor([place.row for place in places], device=batch.index.device)
    before = torch.tensor([place.position - 1 for place in places], device=batch.index.device)
    targets = torch.tensor([sequences[place.row].token_ids[place.position] for place in places], device=rows.device)
    scores = logits(model, trace.last[batch.index[rows, before]]).float()
    return [float(value) for value in F.cross_entropy(scores, targets, reduction="none")]


def _store(
    writer: StateWriter,
    kind: str,
    layer: int | None,
    step: int,
    states: torch.Tensor,
    batch: Batch,
    sequences: Sequence[TokenSequence],
    places: Sequence[Place],
    tokenizer: Any,
) -> None:
    """Hand the states ``[tokens, d]`` of `places` to the writer."""
    rows = torch.tensor([place.row for place in places], dtype=torch.long, device=states.device)
    where = torch.tensor([place.position for place in places], dtype=torch.long, device=states.device)
    vectors = states[batch.index[rows, where]].float().cpu().numpy()
    positions = []
    for place in places:
        token = sequences[place.row].token_ids[place.position]
        name = sequences[place.row].example_id
        positions.append(Position(name, place.position, place.latent_index, token, decoded(tokenizer, [token])))
    writer.append(kind, layer, step, positions, vectors)


def _latent_places(sequences: Sequence[TokenSequence]) -> Iterator[Place]:
    for row, one in enumerate(sequences):
        latents = [t for t, latent in enumerate(one.is_latent) if latent]
        yield from (Place(row, t, k) for k, t in enumerate(latents, start=1))


def _text_places(sequences: Sequence[TokenSequence], own: set[int]) -> Iterator[Place]:
    """Yield the text of the responses; `own` are the method's own tokens, which are no text."""
    for row, one in enumerate(sequences):
        for t in range(one.prompt_length, len(one.token_ids)):
            if not one.is_latent[t] and one.token_ids[t] not in own:
                yield Place(row, t, None)


def _spoken_places(sequences: Sequence[TokenSequence]) -> Iterator[Place]:
    """Yield the positions of each response, or of the question where nothing is responded."""
    for row, one in enumerate(sequences):
        length = len(one.token_ids)
        start = one.prompt_length if one.prompt_length < length else 0
        yield from (Place(row, t, None) for t in range(start, length))


def _statement(tokenizer: Any, prompting: Prompting, row: Mapping[str, Any]) -> TokenSequence:
    prompt = prompt_ids(tokenizer, row["question"], prompting.chat, prompting.chat_arguments)
    return sequence(row["example_id"], prompt, response_ids(tokenizer, row["response"]) if row["response"] else [])


def checkpoints(run: Path) -> list[tuple[int, Path]]:
    """Return the optimiser step and the model folder of each kept checkpoint, the final model last.

    Raises:
        UserError: `run` is no folder of a finished run.
    """
    try:
        updates = int(json.loads((run / "schedule.json").read_text())["updates"])
    except (OSError, ValueError, KeyError) as error:
        raise UserError(str(run / "schedule.json"), "no readable schedule", "train the run again") from error
    kept = {int(path.name.removeprefix("step")): path for path in (run / "checkpoints").glob("step*")}
    return sorted({**kept, updates: run / "model"}.items())


def chosen_layers(states: HiddenStates, model: Any) -> list[int]:
    """Return the layers to store, 0 = embedding output.

    Raises:
        UserError: the model has no such layer.
    """
    depth = model.config.get_text_config().num_hidden_layers
    if states.layers in ("last", "all"):
        return [depth] if states.layers == "last" else list(range(depth + 1))
    layers = sorted({int(layer) for layer in states.layers})
    if layers and layers[-1] > depth:
        raise UserError("hidden_states.layers", f"no layer {layers[-1]}", f"name layers from 0 to {depth}")
    return layers


def batches(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield `rows` in pieces of at most `size`."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


@torch.no_grad()
def _describe(folder: Path, model: Any, dtype: str, layers: list[int], steps: list[int], examples: int) -> None:
    config, embedding = model.config.get_text_config(), model.get_input_embeddings()
    table = embedding(torch.arange(embedding.weight.shape[0], device=model.device)).float()
    facts = {
        "width": config.hidden_size,
        "dtype": dtype,
        "layers": layers,
        "final_norm_layer": config.num_hidden_layers,
        "checkpoints": steps,
        "examples": examples,
        "embedding_norm": float(table.norm(dim=1).mean()),
    }
    write_json(folder / STATES, facts)
