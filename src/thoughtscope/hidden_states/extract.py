"""Stores what a run's checkpoints feed and compute while they answer test questions.

The model answers freely; one more forward over what it wrote gives the vector fed at each position and the states
there. Stored are all latents of every checkpoint and, of the last one, text tokens to compare them with.

Knows nothing about probes or figures.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    give_back_memory,
    positions,
    store,
    token_index,
)
from thoughtscope.hidden_states.finished import checkpoints, read_schedule
from thoughtscope.hidden_states.parts import PARTS, Parts
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
    """Store what the checkpoints of a run feed and compute while they answer; see `answer_questions`."""
    parts = Parts(folder / PARTS)
    answer_questions(settings, run, rows, parts)
    parts.collect(folder)
    parts.discard()


def answer_questions(settings: LatentsSettings, run: Path, rows: Sequence[Mapping[str, Any]], parts: Parts) -> None:
    """Compute and store this process's parts of an extraction: latents of all checkpoints, and the last one's text.

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
    size = parts.batches * settings.states.batch_size
    work = [(step, start) for step in kept for start in range(0, len(rows), size)]
    last = max(kept)
    missing = parts.missing(len(work))
    for step, numbers in itertools.groupby(missing, key=lambda number: work[number][0]):
        session = _Session.of(settings, rows, kept[step], dtype, step, is_last=step == last)
        for number in numbers:
            start = work[number][1]
            with parts.write(number) as folder:
                session.answer(slice(start, start + size), folder)
                if number == len(work) - 1:
                    session.describe(folder, sorted(kept))
        del session  # two models at once may not fit


@dataclass(frozen=True)
class _Session:
    """A checkpoint that answers questions.

    Attributes:
        examples: all questions; ends: what all their prompts have in common.
        layers: to store; stored: the type of stored vectors.
        is_last: whether text is stored too.
    """

    settings: LatentsSettings
    reasoner: Reasoner
    examples: Sequence[Example]
    ends: tuple[int, int]
    layers: list[int]
    stored: str
    step: int
    is_last: bool

    @classmethod
    def of(
        cls, settings: LatentsSettings, rows: Sequence[Mapping[str, Any]], model: Path, dtype: str, step: int,
        *, is_last: bool,
    ) -> _Session:  # fmt: skip
        """Load a checkpoint.

        Raises:
            UserError: the model does not have a layer that is to be stored.
        """
        device, _ = device_and_dtype("auto")
        reasoner = load_reasoner(model, device=device, dtype=dtype)
        layers, stored = chosen_layers(settings.states, reasoner.model), storage_type(settings.states.dtype, dtype)
        examples = [reasoner.encode(row) for row in rows]
        ends = shared_ends([one.prompt for one in examples])
        return cls(settings, reasoner, examples, ends, layers, stored, step, is_last)

    def answer(self, part: slice, folder: Path) -> None:
        """Answer a part of the questions and store their states and answers."""
        states = self.settings.states
        width = self.reasoner.model.config.get_text_config().hidden_size
        layout = schemas.LAST if self.is_last else schemas.CURRENT
        common = {"run": self.settings.run, "step": self.step, "layout": layout, "split": "test"}
        with (
            StateWriter(folder, self.settings.run, width, self.stored, kinds=("input", "output")) as writer,
            pq.ParquetWriter(folder / GENERATIONS, schemas.PREDICTIONS) as generations,
        ):
            for some in batches(self.examples[part], states.batch_size):
                answers = [{**common, **row} for row in self._answer(some, writer)]
                generations.write_table(pa.Table.from_pylist(answers, schema=schemas.PREDICTIONS))
                give_back_memory()

    def describe(self, folder: Path, steps: list[int]) -> None:
        """Write `states.json`."""
        model, count = self.reasoner.model, len(self.examples)
        describe(
            folder, model, self.reasoner.tokenizer, stored=self.stored, layers=self.layers, steps=steps, examples=count
        )

    @torch.no_grad()
    def _answer(self, examples: Sequence[Example], writer: StateWriter) -> list[dict[str, Any]]:
        """Answer questions, store the states of what was written, and return the answers."""
        reasoner = self.reasoner
        generations = reasoner.generate(examples, self.settings.decoding)
        sequences = [one.sequence(-1 if reasoner.latent_id is None else reasoner.latent_id) for one in generations]
        batch = pack(sequences, reasoner.fill.settings if reasoner.fill else None, device=reasoner.model.device)
        output = forward(reasoner.model, batch, reasoner.fill, self.layers)
        control = set(reasoner.ids.ids.values())
        pieces = [[decoded(reasoner.tokenizer, [token]) for token in one.token_ids] for one in sequences]
        names = [roles(one, parts, control, self.ends) for one, parts in zip(sequences, pieces, strict=True)]
        places = [place for row, one in enumerate(sequences) for place in latent_places(row, one)]
        text = self.settings.states.text_tokens if self.is_last else 0
        places += [place for row, one in enumerate(sequences) for place in text_places(row, one, names[row], text)]
        about, at = positions(sequences, places, pieces, names), token_index(batch, places)
        store(writer, "input", None, self.step, output.inputs, at, about)
        for layer in self.layers:
            store(writer, "output", layer, self.step, output.layers[layer], at, about)
        answered = zip(examples, generations, strict=True)
        return [prediction(reasoner, example, generation) for example, generation in answered]
