"""Tries a whole study and prints the memory and time of each run."""

from __future__ import annotations

import itertools
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from transformers.utils import logging

from thoughtscope.check import memory
from thoughtscope.check.inputs import check_disk, check_figures, find_backbones, prepare_tasks
from thoughtscope.check.trial import Trial, attempt
from thoughtscope.config.compute import load_of, training_request
from thoughtscope.config.load import Study
from thoughtscope.config.run_settings import run_settings
from thoughtscope.errors import UserError
from thoughtscope.parsing import parse
from thoughtscope.run_id import RunId
from thoughtscope.training.footprint import advice, check_fits
from thoughtscope.training.settings import TrainSettings

AFFECTS_RESULTS = False
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
        found: dict[RunId, Trial | str] = {}
        for run, trial in _try_all(study, tasks, backbones, Path(place) / "tokens", ranks):
            found[run] = trial
            console.print(line(run, trial) + estimate(study, run), soft_wrap=True)
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


def _try_all(
    study: Study, tasks: Path, backbones: Path, tokens: Path, ranks: int
) -> Iterator[tuple[RunId, Trial | str]]:
    """Try each kind of run and yield what was measured, or a message if it cannot run, as soon as that is known.

    The runs of a backbone share a process, which loads it once and frees its memory when it ends.
    """
    by_backbone = sorted(distinct(study.runs), key=lambda run: run.backbone)
    for _, runs in itertools.groupby(by_backbone, key=lambda run: run.backbone):
        pool = None
        for run in runs:
            pool = pool or ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
            settings = parse(TrainSettings, run_settings(study, run), f"run {run.path}")
            size = settings.training.micro_batch_size or settings.training.batch_size // ranks
            places = (tasks / run.task, backbones / run.backbone, tokens)
            try:
                _check_fits(study, run, ranks)
                yield run, pool.submit(attempt, settings, *places, ranks).result()
            except UserError as error:
                yield run, str(error)
            except torch.OutOfMemoryError:
                yield run, f"out of device memory with {size} examples at once: {LOWER}"
            except BrokenProcessPool:
                pool = None
                yield run, f"killed, most likely for memory, with {size} examples at once: {LOWER}"
        if pool:
            pool.shutdown()


def _check_fits(study: Study, run: RunId, ranks: int) -> None:
    """Refuse a run that is too large for this machine, before its model is loaded.

    Raises:
        UserError: it is.
    """
    cuda = torch.cuda.is_available()
    load = load_of(study, run, ranks, cuda)
    if load is not None:
        has = memory.available("cuda") if cuda else memory.available("cpu") / ranks
        check_fits(f"run {run.path}", load, has, "device" if cuda else "rank of this machine")


def estimate(study: Study, run: RunId) -> str:
    """Return what a run takes of a device of the size in `compute`, in a few words; empty for a tiny backbone."""
    load = load_of(study, run, max(1, training_request(study, run).gpus), device=True)
    if load is None or not load.parameters:
        return ""
    gb = study.config.compute.gpu_memory_gb
    fits = "fits" if load.needed <= gb * 1e9 else advice(load, gb * 1e9)
    return f"; of each of {load.ranks} devices of {gb:.0f} GB about {load.needed / 1e9:.0f} GB: {fits}"


def verdict(trial: Trial) -> str:
    """Return `fits`, or what to change."""
    if trial.needed <= trial.available:
        return "fits"
    states = 4 * trial.parameters
    return SHARD if states > trial.available / 2 else LOWER


def line(run: RunId, trial: Trial | str) -> str:
    """Return what is known of a kind of run, in one line."""
    name = f"{run.task}/{run.backbone}/{run.method}/{run.trainable}"
    if isinstance(trial, str):
        return f"{name}: {trial}"
    return (
        f"{name}: {verdict(trial)}, {trial.needed / 1e9:.1f} of {trial.available / 1e9:.0f} GB, "
        f"{trial.passes} passes of {trial.tokens} tokens in {trial.seconds:.2f} s, {trial.hours:.2f} hours"
    )


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
