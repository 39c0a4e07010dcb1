"""The program of one rank, started by torchrun: reads its inputs, trains, and writes the run's artifact.

Ends with status `CONTINUE` when it was asked to stop and has saved; the next start goes on.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import deepspeed
import torch

from thoughtscope import tables
from thoughtscope.artifacts import artifact_folder, input_digests, write_json
from thoughtscope.backbones.spellings import SPELLINGS
from thoughtscope.config.parse import parse
from thoughtscope.config.run import Run as RunName
from thoughtscope.provenance import add_options, digest, record
from thoughtscope.tasks.prepare import EXAMPLES
from thoughtscope.training.failure import end
from thoughtscope.training.ranks import Ranks
from thoughtscope.training.report import Report
from thoughtscope.training.run import ContinueLaterError, Run
from thoughtscope.training.settings import TrainSettings
from thoughtscope.training.status import CONTINUE, STATUS_FILE

SCHEDULE = "schedule.json"


def main() -> int:
    """Run this rank."""
    try:
        return _train()
    except Exception as error:
        end(error)
        raise


def _train() -> int:
    arguments = _arguments()
    _end_with_parent()
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, lambda received, _frame: asked.append(received))
    raw = json.loads(arguments.settings)
    settings = parse(TrainSettings, {**raw, "training": {**raw["training"], **arguments.saving}}, "train settings")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # DeepSpeed would compile a shared-memory helper for gloo on first use: a minute and a compiler for nothing here
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend="nccl" if torch.cuda.is_available() else "gloo", verbose=False)
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    report = Report(settings.run, Ranks.here().first)
    rows = tables.read(arguments.task / EXAMPLES, tables.REASONING).to_pylist()
    yoke = json.loads((arguments.yoke / SCHEDULE).read_text())["stages"] if arguments.yoke else None
    inputs = input_digests([arguments.task, arguments.backbone] + ([arguments.yoke] if arguments.yoke else []))
    state_folder = arguments.state / digest(_identity(raw, inputs, arguments))
    state_folder.mkdir(parents=True, exist_ok=True)
    run = Run(settings, rows, arguments.backbone, yoke, state_folder, report, lambda: bool(asked), time.monotonic)
    try:
        run.execute()
    except ContinueLaterError as pause:
        report.line(f"{pause}: asked to stop, start again to go on")
        if Ranks.here().first and STATUS_FILE in os.environ:
            Path(os.environ[STATUS_FILE]).write_text(str(CONTINUE))
        return CONTINUE
    finally:
        report.close()
    _write(run, settings, inputs, arguments)
    return 0


def _end_with_parent() -> None:
    """Let the kernel kill this process when its launcher dies: no orphan writes beside the next start (Linux)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG


def _identity(raw: Any, inputs: dict[str, str], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what decides a run's result: its settings, the content of its inputs, its sources and packages."""
    return {
        "settings": raw,
        "inputs": list(inputs.values()),
        "sources": arguments.sources,
        "pins": arguments.pins,
    }


def _write(run: Run, settings: TrainSettings, inputs: dict[str, str], arguments: argparse.Namespace) -> None:
    """Write the artifact of a finished run; then its resumable state may go."""
    name = RunName.parse(settings.run)
    model = run.state_folder / "model"
    run.save_model(model)
    ranks = Ranks.here()
    if ranks.first:
        facts = {"seed": name.seed, "ranks": ranks.world, "state": run.state_folder.name, "inputs": inputs}
        provenance = record("train", json.loads(arguments.settings), arguments, **facts)
        with artifact_folder(arguments.output, provenance) as folder:
            shutil.copytree(model, folder / "model")
            if (run.state_folder / "checkpoints").is_dir():
                shutil.copytree(run.state_folder / "checkpoints", folder / "checkpoints")
            tables.write(
                folder / "accuracy.parquet",
                tables.ACCURACY,
                ({**name.columns, **row} for row in run.journals["accuracy"].read()),
            )
            tables.write(
                folder / "predictions.parquet",
                tables.PREDICTIONS,
                ({"run": name.path, **row} for row in run.journals["predictions"].read()),
            )
            tables.write(folder / "metrics.parquet", tables.METRICS, run.journals["metrics"].read())
            progress = run.progress
            spent = {"labelled_tokens": progress.labelled_tokens, "positions": progress.positions}
            schedule = {"stages": progress.realised, "updates": progress.step, "precision": run.dtype, **spent}
            write_json(folder / SCHEDULE, schedule)
            write_json(folder / SPELLINGS, run.spellings)
        shutil.rmtree(run.state_folder, ignore_errors=True)
    ranks.wait()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="TrainSettings as JSON")
    parser.add_argument("--saving", type=json.loads, default={}, help="JSON: how often the resumable state is saved")
    parser.add_argument("--task", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--yoke", type=Path, help="folder of the run whose schedule is followed")
    parser.add_argument("--state", type=Path, required=True, help="folder of resumable states")
    parser.add_argument("--output", type=Path, required=True)
    add_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
