"""One batch of a run on the device where it will train: what it takes, and what the whole run will."""

from __future__ import annotations

import copy
import gc
import math
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging

from thoughtscope import schemas
from thoughtscope.backbones.load import load_backbone
from thoughtscope.backbones.spellings import notes
from thoughtscope.check import memory
from thoughtscope.latents.generate import Decoding
from thoughtscope.latents.packing import pack
from thoughtscope.methods.curriculum import Stage
from thoughtscope.methods.minibatch import Counts, MicroBatch, Row
from thoughtscope.reasoner import Reasoner, device_and_dtype
from thoughtscope.tasks.prepare import EXAMPLES
from thoughtscope.training.assembly import Parts, assemble
from thoughtscope.training.data import accumulation_steps
from thoughtscope.training.examples import tokens_folder
from thoughtscope.training.settings import TrainSettings
from thoughtscope.training.stage_data import lay_out_row

LIMIT = 5.0  # seconds that training, and answering, may take in a trial
MOMENTS, MASTER = 8, 4  # bytes a trained parameter: AdamW's two moments, and the float32 copy of a bf16 weight


@dataclass(frozen=True)
class Trial:
    """What was measured in one batch, and what follows for the run.

    Attributes:
        parameters, trained: how many there are, and how many of them train.
        passes, tokens: of the longest micro-batch, in the stage with most latents.
        seconds: of its forward and backward.
        needed, available: device memory in bytes, with the optimiser's state on `world` ranks.
        hours: of the whole run: updates at the longest batch's pace, and every measurement of accuracy.
        disk: bytes of its states and models.
    """

    device: str
    parameters: int
    trained: int
    passes: int
    tokens: int
    seconds: float
    needed: int
    available: int
    hours: float
    disk: int


def attempt(settings: TrainSettings, task: Path, backbone: Path, tokens: Path, world: int) -> Trial:
    """Train and answer one batch of a run; everything is thrown away.

    A process that tries several runs of a backbone loads it once. What takes longer than `LIMIT` is measured on a part
    of the batch, its longest rows, and scaled up: an upper bound.

    Args:
        task: folder of the task.
        tokens: holds the examples of tasks as token ids, which runs share.
        world: ranks that the run will have.

    Raises:
        UserError: whatever would stop the run before its first update.
        torch.OutOfMemoryError: not even one micro-batch fits.
    """
    logging.disable_progress_bar()
    device, dtype = device_and_dtype(settings.training.precision)
    rows = schemas.stream(task / EXAMPLES, schemas.REASONING)
    names = {"task": str(task), "backbone": str(backbone)}
    shared = tokens_folder(tokens, settings.model_dump(mode="json"), names)
    gc.collect()
    parts = assemble(settings, rows, backbone, 0, device, dtype, shared, _copied)
    training = settings.training.of_examples(len(parts.splits.train))
    settings = settings.model_copy(update={"training": training})
    for line in notes(parts.spellings):
        print(line, flush=True)
    steps = accumulation_steps(settings.training, world)
    size = settings.training.batch_size // (steps * world)
    stage, longest = _longest(parts, size)
    reasoner = parts.reasoner.at(stage)
    parts.network.to(device).train()
    seconds, peak = _training(parts, reasoner, longest, device)
    if device == "cpu":  # what the process keeps for the runs after this one is no need of the run
        peak -= sum(value.nbytes for value in _loaded(backbone, settings.attention, dtype)[0].parameters())
    batch = _packed(reasoner, longest, device).batch
    trained = sum(value.numel() for value in parts.network.parameters() if value.requires_grad)
    parameters = sum(value.numel() for value in parts.network.parameters())
    copies = settings.training.keep_states
    kept = len(settings.training.keep_checkpoints) + settings.evaluation.keep_best + 1
    return Trial(
        device=device,
        parameters=parameters,
        trained=trained,
        passes=len(batch.passes),
        tokens=len(batch.token_ids),
        seconds=seconds,
        needed=peak + _optimizer_bytes(settings, trained, world, dtype),
        available=memory.available(device),
        hours=(settings.training.updates * steps * seconds + _measuring(parts, reasoner, settings, world)) / 3600,
        disk=copies * trained * (MASTER + MOMENTS) + kept * parameters * MASTER,
    )


def _longest(parts: Parts, size: int) -> tuple[Stage, list[Row]]:
    """Return the stage with most latents and its longest examples, as if the model were unsure of every token."""
    examples = parts.splits.train.longest(size)

    def laid(stage: Stage) -> list[Row]:
        made = []
        for one in examples:
            made.append(lay_out_row(parts.reasoner.at(stage), one, 0, 0, [0.0] * len(one.response)))
        return made

    stage = max(parts.stages, key=lambda one: sum(row.sequence.latents for row in laid(one)))
    return stage, laid(stage)


@lru_cache(1)
def _loaded(backbone: Path, attention: str, dtype: str) -> tuple[Any, Any]:
    return load_backbone(backbone, attention=attention, dtype=dtype)


def _copied(backbone: Path, *, attention: str, dtype: str) -> tuple[Any, Any]:
    """Return a copy of the backbone's model and its tokenizer, loaded once for all runs of this process."""
    model, tokenizer = _loaded(backbone, attention, dtype)
    return copy.deepcopy(model), copy.deepcopy(tokenizer)


def _packed(reasoner: Reasoner, rows: list[Row], device: str) -> MicroBatch:
    batch = pack([row.sequence for row in rows], reasoner.stage.fill, for_labels=True, device=device)
    return MicroBatch(rows, batch, Counts.of(rows))


def _training(parts: Parts, reasoner: Reasoner, rows: list[Row], device: str) -> tuple[float, int]:
    """Return the seconds and the peak of memory in bytes of a forward and backward pass over `rows`.

    It grows from one row to all, or until the next size would exceed `LIMIT`.
    """
    before, count, spent = memory.held(device), 1, 0.0
    while True:
        micro = _packed(reasoner, rows[:count], device)
        memory.forget_peak(device)
        start = time.perf_counter()
        parts.network(micro, reasoner.fill).backward()
        peak = memory.peak(device)  # waits for the device
        seconds = time.perf_counter() - start
        spent += seconds
        if count == len(rows) or spent + 2 * seconds > LIMIT:
            break
        count = min(2 * count, len(rows))
    share = len(rows) / count
    return seconds * share, before + round((peak - before) * share)


@torch.no_grad()
def _measuring(parts: Parts, reasoner: Reasoner, settings: TrainSettings, world: int) -> float:
    """Return the seconds of all measurements of accuracy, from one batch of answers or a part of it.

    Before the last stage each measurement answers the questions twice (`training.evaluator`); stage ends count too.
    """
    evaluation = settings.evaluation
    tests = math.ceil(len(parts.splits.test) / world)
    some = parts.splits.test[: min(tests, evaluation.batch_size)]
    decoding = Decoding(**evaluation.decoding, batch_size=evaluation.batch_size)
    parts.network.eval()

    def answering(count: int) -> float:
        start = time.perf_counter()
        reasoner.generate(some[:count], decoding)
        return (time.perf_counter() - start) * len(some) / min(count, len(some))

    batch = answering(2)
    batch = answering(len(some)) if batch < LIMIT else batch
    once = batch * math.ceil(tests / len(some))
    measurements = len(parts.stages) + math.ceil(settings.training.updates / evaluation.every)
    return once * measurements * (2 - (parts.stages[-1].share or 1 / len(parts.stages)))


def _optimizer_bytes(settings: TrainSettings, trained: int, world: int, dtype: str) -> int:
    zero = settings.deepspeed.zero_optimization
    if zero.offload_optimizer:
        return 0
    each = MOMENTS + (MASTER if dtype == "bfloat16" else 0)
    return trained * each // (world if zero.stage else 1)
