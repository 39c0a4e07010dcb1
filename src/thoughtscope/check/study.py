"""Tries a whole study and prints the memory and time of each run."""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from transformers.utils import logging

from thoughtscope.check.inputs import check_disk, check_figures, find_backbones, prepare_tasks, rows_of
from thoughtscope.check.trial import Trial, attempt
from thoughtscope.config.load import Study
from thoughtscope.config.run_settings import run_settings
from thoughtscope.errors import UserError
from thoughtscope.parsing import parse
from thoughtscope.run_id import RunId
from thoughtscope.training.settings import TrainSettings

LOWER = "lower training.micro_batch_size"
SHARD = "shard the optimiser: training.deepspeed zero2 on more ranks, or with offload"


def check_study(study: Study, results: Path, ranks: int) -> int:
    """Try each kind of run, print its memory and time, and return 2 if one cannot run, else 0.

    Args:
        results: where the runs will be written.
        ranks: processes of each run.

    Raises:
        UserError: an input is wrong or missing, or the disk is too small.
    """
    logging.disable_progress_bar()
    console = Console(width=160 if not sys.stdout.isatty() else None)
    with tempfile.TemporaryDirectory() as place:
        tasks, backbones = Path(place) / "tasks", Path(place) / "backbones"
        for name, sizes in prepare_tasks(study, tasks).items():
            console.print(f"task {name}: " + ", ".join(f"{size} {split}" for split, size in sizes.items()))
        check_figures(study, tasks)
        find_backbones(study, tasks, backbones)
        console.print(f"backbones: {', '.join(study.named('backbones'))}")
        found = {run: _try(study, run, tasks, backbones, ranks) for run in distinct(study.runs)}
    console.print(table(found))
    trials = [_trial_of(run, found) for run in study.runs]
    refused = [line for line in found.values() if isinstance(line, str) or verdict(line) != "fits"]
    check_disk(results, sum(trial.disk for trial in trials if isinstance(trial, Trial)))
    hours = sum(trial.hours for trial in trials if isinstance(trial, Trial))
    console.print(f"{len(trials)} runs, {hours:.1f} device hours one after another; {len(refused)} kinds refused")
    return 2 if refused else 0


def distinct(runs: Sequence[RunId]) -> list[RunId]:
    """Return one run of each kind; runs that differ only in their seed need the same memory and time."""
    kinds: dict[tuple[str, ...], RunId] = {}
    for run in runs:
        kinds.setdefault((run.task, run.backbone, run.method, run.trainable), run)
    return list(kinds.values())


def _trial_of(run: RunId, found: dict[RunId, Trial | str]) -> Trial | str:
    return next(trial for one, trial in found.items() if distinct([one, run]) == [one])


def _try(study: Study, run: RunId, tasks: Path, backbones: Path, ranks: int) -> Trial | str:
    """Try a run in a new process, which frees its memory when it ends; return a message if it cannot run."""
    settings = parse(TrainSettings, run_settings(study, run), f"run {run.path}")
    size = settings.training.micro_batch_size or settings.training.batch_size // ranks
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(attempt, settings, rows_of(tasks / run.task), backbones / run.backbone, ranks).result()
        except UserError as error:
            return str(error)
        except torch.OutOfMemoryError:
            return f"out of device memory with {size} examples at once: {LOWER}"
        except BrokenProcessPool:
            return f"killed, most likely for memory, with {size} examples at once: {LOWER}"


def verdict(trial: Trial) -> str:
    """Return `fits`, or what to change."""
    if trial.needed <= trial.available:
        return "fits"
    states = 4 * trial.parameters
    return SHARD if states > trial.available / 2 else LOWER


def table(found: dict[RunId, Trial | str]) -> Table:
    """Return a table of the memory and time of each kind of run."""
    made = Table(title="one micro-batch of each kind of run, its longest examples in the stage with most latents")
    names = ("run", "device", "parameters", "trained", "passes", "tokens", "s", "tokens/s", "GB of", "hours", "")
    for name in names:
        made.add_column(name, justify="left" if name in ("run", "device", "") else "right")
    for run, trial in found.items():
        name = f"{run.task}/{run.backbone}/{run.method}/{run.trainable}"
        if isinstance(trial, str):
            made.add_row(name, *[""] * 9, trial)
            continue
        made.add_row(
            name,
            trial.device,
            f"{trial.parameters / 1e6:.1f}M",
            f"{trial.trained / 1e6:.1f}M",
            str(trial.passes),
            str(trial.tokens),
            f"{trial.seconds:.3f}",
            f"{trial.tokens / trial.seconds:.0f}",
            f"{trial.needed / 1e9:.1f}/{trial.available / 1e9:.0f}",
            f"{trial.hours:.2f}",
            verdict(trial),
        )
    return made
