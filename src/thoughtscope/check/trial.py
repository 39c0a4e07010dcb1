"""One batch of a run on the device where it will train: what it takes, and what the whole run will."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers.utils import logging

from thoughtscope.backbones.spellings import notes
from thoughtscope.latents.fill import Fill
from thoughtscope.latents.generate import Decoding
from thoughtscope.latents.packing import pack
from thoughtscope.methods.curriculum import Stage
from thoughtscope.methods.minibatch import Counts, MicroBatch, Row
from thoughtscope.reasoner import Reasoner, device_and_dtype
from thoughtscope.training.assembly import Parts, assemble
from thoughtscope.training.data import accumulation_steps
from thoughtscope.training.settings import TrainSettings
from thoughtscope.training.stage_data import lay_out_row

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


def attempt(settings: TrainSettings, rows: Sequence[Mapping[str, Any]], backbone: Path, world: int) -> Trial:
    """Train and answer one batch of a run; everything is thrown away.

    Args:
        world: ranks that the run will have.

    Raises:
        UserError: whatever would stop the run before its first update.
        torch.OutOfMemoryError: not even one micro-batch fits.
    """
    logging.disable_progress_bar()
    device, dtype = device_and_dtype(settings.training.precision)
    parts = assemble(settings, rows, backbone, 0, device, dtype)
    training = settings.training.of_examples(len(parts.splits.train))
    settings = settings.model_copy(update={"training": training})
    for line in notes(parts.spellings):
        print(line, flush=True)
    steps = accumulation_steps(settings.training, world)
    size = settings.training.batch_size // (steps * world)
    stage, longest = _longest(parts, size)
    reasoner = parts.reasoner.at(stage)
    batch = pack([row.sequence for row in longest], stage.fill, for_labels=True, device=device)
    micro = MicroBatch(longest, batch, Counts.of(longest))
    parts.network.to(device).train()
    seconds = min(_step(parts, micro, reasoner.fill) for _ in range(2))
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else psutil.Process().memory_info().rss
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
        available=_memory(device),
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


def _step(parts: Parts, micro: MicroBatch, fill: Fill | None) -> float:
    start = time.perf_counter()
    parts.network(micro, fill).backward()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


@torch.no_grad()
def _measuring(parts: Parts, reasoner: Reasoner, settings: TrainSettings, world: int) -> float:
    """Return the seconds of all measurements of accuracy, from one batch of answers.

    Before the last stage each measurement answers the questions twice (`training.evaluator`); stage ends count too.
    """
    evaluation = settings.evaluation
    tests = math.ceil(len(parts.splits.test) / world)
    some = parts.splits.test[: min(tests, evaluation.batch_size)]
    decoding = Decoding(**evaluation.decoding, batch_size=evaluation.batch_size)
    parts.network.eval()
    start = time.perf_counter()
    reasoner.generate(some, decoding)
    once = (time.perf_counter() - start) * math.ceil(tests / len(some))
    measurements = len(parts.stages) + math.ceil(settings.training.updates / evaluation.every)
    return once * measurements * (2 - (parts.stages[-1].share or 1 / len(parts.stages)))


def _optimizer_bytes(settings: TrainSettings, trained: int, world: int, dtype: str) -> int:
    zero = settings.deepspeed.zero_optimization
    if zero.offload_optimizer:
        return 0
    each = MOMENTS + (MASTER if dtype == "bfloat16" else 0)
    return trained * each // (world if zero.stage else 1)


def _memory(device: str) -> int:
    if device == "cuda":
        return int(torch.cuda.get_device_properties(0).total_memory)
    return int(psutil.virtual_memory().total)
