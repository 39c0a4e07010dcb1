"""`make check CONFIG=...`: tries a whole study and prints what each run will take; ends with 2 if one cannot run."""

from __future__ import annotations

import argparse
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
from thoughtscope.config.load import MAIN, Study
from thoughtscope.config.parse import parse
from thoughtscope.config.run_id import RunId
from thoughtscope.config.run_settings import run_settings
from thoughtscope.errors import UserError, one_line_errors
from thoughtscope.training.settings import TrainSettings

LOWER = "lower training.micro_batch_size"
SHARD = "shard the optimiser: training.deepspeed zero2 on more ranks, or with offload"


@one_line_errors
def main() -> int:
    """Check one study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--configfile", type=Path, nargs="+", default=[MAIN], help="main files, each laid on those before"
    )
    parser.add_argument("--folder", type=Path, default=Path("config"), help="folder of the small files")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where the runs will be written")
    parser.add_argument("--ranks", type=int, default=1, help="ranks that each run will have")
    arguments = parser.parse_args()
    logging.disable_progress_bar()
    console = Console(width=160 if not sys.stdout.isatty() else None)
    study = Study.read(arguments.configfile, arguments.folder)
    with tempfile.TemporaryDirectory() as place:
        tasks, backbones = Path(place) / "tasks", Path(place) / "backbones"
        for name, sizes in prepare_tasks(study, tasks).items():
            console.print(f"task {name}: " + ", ".join(f"{size} {split}" for split, size in sizes.items()))
        check_figures(study, tasks)
        find_backbones(study, tasks, backbones)
        console.print(f"backbones: {', '.join(study.named('backbones'))}")
        found = {run: _try(study, run, tasks, backbones, arguments.ranks) for run in distinct(study.runs)}
    console.print(table(found))
    trials = [_trial_of(run, found) for run in study.runs]
    refused = [line for line in found.values() if isinstance(line, str) or verdict(line) != "fits"]
    check_disk(arguments.results, sum(trial.disk for trial in trials if isinstance(trial, Trial)))
    hours = sum(trial.hours for trial in trials if isinstance(trial, Trial))
    console.print(f"{len(trials)} runs, {hours:.1f} device hours one after another; {len(refused)} kinds refused")
    return 2 if refused else 0


def distinct(runs: Sequence[RunId]) -> list[RunId]:
    """Return one run of each kind: runs that differ in their seed alone take the same."""
    kinds: dict[tuple[str, ...], RunId] = {}
    for run in runs:
        kinds.setdefault((run.task, run.backbone, run.method, run.trainable), run)
    return list(kinds.values())


def _trial_of(run: RunId, found: dict[RunId, Trial | str]) -> Trial | str:
    return next(trial for one, trial in found.items() if distinct([one, run]) == [one])


def _try(study: Study, run: RunId, tasks: Path, backbones: Path, ranks: int) -> Trial | str:
    """Try a run in a process of its own, so that what it takes is its own and given back; a line if it cannot run."""
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
    """Return what each kind of run takes."""
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


if __name__ == "__main__":
    sys.exit(main())
