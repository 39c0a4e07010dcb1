"""Stores what a run's checkpoints feed and compute while they answer test questions.

The model answers freely; one more forward over what it wrote gives the vector fed at each position and the states
there. Stored are all latents of every checkpoint and, of the last one, text tokens to compare them with.

Knows nothing about probes or figures.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from thoughtscope import schemas
from thoughtscope.accuracy import prediction
from thoughtscope.backbones.prompt import decoded
from thoughtscope.errors import UserError
from thoughtscope.hidden_states.capture import (
    batches,
    chosen_layers,
    describe,
    positions,
    store,
    token_index,
)
from thoughtscope.hidden_states.roles import latent_places, roles, shared_ends, text_places
from thoughtscope.hidden_states.settings import HiddenStates
from thoughtscope.hidden_states.write import GENERATIONS, StateWriter, storage_type
from thoughtscope.latents.forward import forward
from thoughtscope.latents.generate import Decoding
from thoughtscope.latents.packing import pack
from thoughtscope.methods.curriculum import Example
from thoughtscope.reasoner import Reasoner, device_and_dtype, load_reasoner
from thoughtscope.settings import Strict


class LatentsSettings(Strict):
    """What to store of a run: the vectors at its latents while it answers test questions."""

    run: str
    states: HiddenStates = HiddenStates()
    decoding: Decoding = Decoding()


def extract_latents(settings: LatentsSettings, run: Path, rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Store what the checkpoints of a run feed and compute at latents, and the last one's text as reference.

    The model computes in the precision that the run trained in.

    Args:
        run: a run's folder: `model/`, `checkpoints/stepNNNNNN/`, `schedule.json`.
        rows: `schemas.REASONING`; the first test questions are answered.

    Raises:
        UserError: there is no test question, or a layer that the model does not have.
    """
    rows = [row for row in rows if row["split"] == "test"][: settings.states.examples]
    if not rows:
        raise UserError(f"task of {settings.run}", "split test is empty", "give it examples")
    schedule = read_schedule(run)
    kept, dtype = checkpoints(run, schedule), str(schedule["precision"])
    device, _ = device_and_dtype("auto")
    stored = storage_type(settings.states.dtype, dtype)
    reasoner = load_reasoner(kept[0][1], device=device, dtype=dtype)
    layers = chosen_layers(settings.states, reasoner.model)
    width = reasoner.model.config.get_text_config().hidden_size
    with (
        StateWriter(folder, settings.run, width, stored, kinds=("input", "output")) as writer,
        pq.ParquetWriter(folder / GENERATIONS, schemas.PREDICTIONS) as generations,
    ):
        for step, path in kept:
            if path != kept[0][1]:
                del reasoner  # two models at once may not fit
                reasoner = load_reasoner(path, device=device, dtype=dtype)
            examples = [reasoner.encode(row) for row in rows]
            ends = shared_ends([one.prompt for one in examples])
            text = settings.states.text_tokens if path == kept[-1][1] else 0
            for part in batches(examples, settings.states.batch_size):
                answered = _answer(reasoner, part, settings.decoding, layers, writer, step, text, ends)
                layout = schemas.LAST if path == kept[-1][1] else schemas.CURRENT
                common = {"run": settings.run, "step": step, "layout": layout, "split": "test"}
                answers = [{**common, **row} for row in answered]
                generations.write_table(pa.Table.from_pylist(answers, schema=schemas.PREDICTIONS))
    steps = [step for step, _ in kept]
    describe(folder, reasoner.model, reasoner.tokenizer, stored=stored, layers=layers, steps=steps, examples=len(rows))


@torch.no_grad()
def _answer(
    reasoner: Reasoner,
    examples: Sequence[Example],
    decoding: Decoding,
    layers: list[int],
    writer: StateWriter,
    step: int,
    text: int,
    ends: tuple[int, int],
) -> list[dict[str, Any]]:
    """Answer questions, store the states of what was written, and return the answers.

    Args:
        text: how many text tokens of each role are stored of a response.
        ends: what all prompts have in common.
    """
    generations = reasoner.generate(examples, decoding)
    sequences = [one.sequence(-1 if reasoner.latent_id is None else reasoner.latent_id) for one in generations]
    batch = pack(sequences, reasoner.fill.settings if reasoner.fill else None, device=reasoner.model.device)
    output = forward(reasoner.model, batch, reasoner.fill, layers)
    control = set(reasoner.ids.ids.values())
    pieces = [[decoded(reasoner.tokenizer, [token]) for token in one.token_ids] for one in sequences]
    names = [roles(one, parts, control, ends) for one, parts in zip(sequences, pieces, strict=True)]
    places = [place for row, one in enumerate(sequences) for place in latent_places(row, one)]
    places += [place for row, one in enumerate(sequences) for place in text_places(row, one, names[row], text)]
    about, at = positions(sequences, places, pieces, names), token_index(batch, places)
    store(writer, "input", None, step, output.inputs, at, about)
    for layer in layers:
        store(writer, "output", layer, step, output.layers[layer], at, about)
    return [
        prediction(reasoner, example, generation) for example, generation in zip(examples, generations, strict=True)
    ]


def read_schedule(run: Path) -> dict[str, Any]:
    """Return a run's `schedule.json`, with its number of updates and the precision that it trained in.

    Raises:
        UserError: `run` is no folder of a finished run.
    """
    path = run / "schedule.json"
    try:
        schedule: dict[str, Any] = json.loads(path.read_text())
        return {**schedule, "updates": int(schedule["updates"]), "precision": str(schedule["precision"])}
    except (OSError, ValueError, KeyError) as error:
        raise UserError(str(path), "no readable schedule", "train the run again") from error


def checkpoints(run: Path, schedule: Mapping[str, Any]) -> list[tuple[int, Path]]:
    """Return the optimiser step and the model folder of each kept checkpoint, the final model last."""
    kept = {int(path.name.removeprefix("step")): path for path in (run / "checkpoints").glob("step*")}
    return sorted({**kept, schedule["updates"]: run / "model"}.items())
