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

import deepspeed
import torch

from thoughtscope import schemas
from thoughtscope.arguments import settings_of
from thoughtscope.artifacts import artifact_folder, digest, input_digests, write_json
from thoughtscope.backbones.load import MODEL
from thoughtscope.backbones.spellings import SPELLINGS
from thoughtscope.config.parse import parse
from thoughtscope.config.run_id import RunId
from thoughtscope.provenance import record
from thoughtscope.tasks.prepare import EXAMPLES
from thoughtscope.training.failure import end
from thoughtscope.training.options import run_options
from thoughtscope.training.ranks import Ranks
from thoughtscope.training.report import Report
from thoughtscope.training.settings import TrainSettings
from thoughtscope.training.status import CONTINUE, STATUS_FILE
from thoughtscope.training.trainer import ContinueLaterError, Trainer

SCHEDULE = "schedule.json"


def main() -> int:
    """Run this rank."""
    try:
        return _train()
    except Exception as error:
        end(error)
        raise


def _train() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, parents=[run_options()]).parse_args()
    _end_with_parent()
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, lambda received, _frame: asked.append(received))
    saving = arguments.settings.pop("saving", {})
    raw = settings_of(arguments.settings)
    settings = parse(TrainSettings, {**raw, "training": {**raw["training"], **saving}}, "train settings")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # DeepSpeed would compile a shared-memory helper for gloo on first use: a minute and a compiler for nothing here
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend="nccl" if torch.cuda.is_available() else "gloo", verbose=False)
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    report = Report(settings.run, Ranks.here().first)
    rows = schemas.read(arguments.task / EXAMPLES, schemas.REASONING).to_pylist()
    yoke = json.loads((arguments.yoke / SCHEDULE).read_text())["stages"] if arguments.yoke else None
    inputs = input_digests([arguments.task, arguments.backbone] + ([arguments.yoke] if arguments.yoke else []))
    state_folder = arguments.state / digest({**arguments.settings, "inputs": list(inputs.values())})
    state_folder.mkdir(parents=True, exist_ok=True)
    backbone = arguments.backbone / MODEL
    run = Trainer(settings, rows, backbone, yoke, state_folder, report, lambda: bool(asked), time.monotonic)
    try:
        run.execute()
    except ContinueLaterError as pause:
        report.line(f"{pause}: asked to stop, start again to go on")
        if Ranks.here().first and STATUS_FILE in os.environ:
            Path(os.environ[STATUS_FILE]).write_text(str(CONTINUE))
        return CONTINUE
    finally:
        report.close()
    _write(run, inputs, arguments)
    return 0


def _end_with_parent() -> None:
    """Let the kernel kill this process when its launcher dies: no orphan writes beside the next start (Linux)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG


def _write(run: Trainer, inputs: dict[str, str], arguments: argparse.Namespace) -> None:
    """Write the artifact of a finished run; then its resumable state may go."""
    name = RunId.parse(run.settings.run)
    model = run.state_folder / MODEL
    run.save_model(model)
    ranks = Ranks.here()
    if ranks.first:
        facts = {"seed": name.seed, "ranks": ranks.world, "state": run.state_folder.name, "inputs": inputs}
        provenance = record("train", arguments.settings, **facts)
        with artifact_folder(arguments.output, provenance) as folder:
            shutil.copytree(model, folder / MODEL)
            (folder / "checkpoints").mkdir()
            if (run.state_folder / "checkpoints").is_dir():
                shutil.copytree(run.state_folder / "checkpoints", folder / "checkpoints", dirs_exist_ok=True)
            schemas.write(
                folder / "accuracy.parquet",
                schemas.ACCURACY,
                ({**name.columns, **row} for row in run.journals["accuracy"].read()),
            )
            schemas.write(
                folder / "predictions.parquet",
                schemas.PREDICTIONS,
                ({"run": name.path, **row} for row in run.journals["predictions"].read()),
            )
            schemas.write(folder / "metrics.parquet", schemas.METRICS, run.journals["metrics"].read())
            progress = run.progress
            spent = {"labelled_tokens": progress.labelled_tokens, "positions": progress.positions}
            schedule = {"stages": progress.realised, "updates": progress.step, "precision": run.dtype, **spent}
            write_json(folder / SCHEDULE, schedule)
            write_json(folder / SPELLINGS, run.spellings)
        shutil.rmtree(run.state_folder, ignore_errors=True)
    ranks.wait()


if __name__ == "__main__":
    sys.exit(main())
