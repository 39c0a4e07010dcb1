"""The program of one rank, which torchrun starts: reads the inputs, trains, and writes the run's artifact.

It ends with status `CONTINUE` when it was asked to stop and has saved; the next start resumes.
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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import deepspeed
import psutil
import torch

from thoughtscope import schemas
from thoughtscope.arguments import settings_of
from thoughtscope.artifacts import artifact_folder, digest, input_digests, write_json
from thoughtscope.backbones.folder import find
from thoughtscope.backbones.load import MODEL
from thoughtscope.backbones.size import count_parameters, weight_files
from thoughtscope.backbones.spellings import SPELLINGS
from thoughtscope.launch.signals import on_stop
from thoughtscope.launch.status import CONTINUE, STATUS_FILE
from thoughtscope.parsing import parse
from thoughtscope.provenance import record
from thoughtscope.reasoner import device_and_dtype
from thoughtscope.run_id import RunId
from thoughtscope.tasks.prepare import EXAMPLES
from thoughtscope.training.data import accumulation_steps
from thoughtscope.training.examples import tokens_folder
from thoughtscope.training.failure import end
from thoughtscope.training.footprint import Load, check_fits
from thoughtscope.training.options import run_options
from thoughtscope.training.ranks import Ranks
from thoughtscope.training.report import Report
from thoughtscope.training.settings import TrainSettings
from thoughtscope.training.trainer import BEST, ContinueLaterError, Trainer

SCHEDULE, TIMES = "schedule.json", "times.json"


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
    on_stop(asked.append)
    _start_processes()
    saving = arguments.settings.pop("saving", {})
    raw = settings_of(arguments.settings)
    settings = parse(TrainSettings, {**raw, "training": {**raw["training"], **saving}}, "train settings")
    ranks, leader = Ranks.here(), arguments.leader
    report = Report(settings.run, ranks.first)
    schedule = json.loads((leader / SCHEDULE).read_text())["stages"] if leader else None
    inputs = input_digests([arguments.task, arguments.backbone] + ([leader] if leader else []))
    folder = state_folder(arguments.state, arguments.settings, inputs)
    folder.mkdir(parents=True, exist_ok=True)
    backbone = arguments.backbone / MODEL
    rows = schemas.stream(arguments.task / EXAMPLES, schemas.REASONING)
    _check_fits(settings, backbone, ranks)
    tokens = tokens_folder(arguments.state.with_name("tokens"), arguments.settings, inputs)
    trainer = Trainer(settings, rows, tokens, backbone, schedule, folder, report, lambda: bool(asked), time.monotonic)
    try:
        trainer.execute()
    except ContinueLaterError as pause:
        report.line(f"{pause}: asked to stop, start again to go on")
        if ranks.first and STATUS_FILE in os.environ:
            Path(os.environ[STATUS_FILE]).write_text(str(CONTINUE))
        return CONTINUE
    finally:
        report.close()
    trainer.save_model(folder / MODEL)
    readings = trainer.readings()
    if ranks.first:
        _write(trainer, readings, inputs, arguments)
        shutil.rmtree(folder, ignore_errors=True)
    ranks.wait()
    return 0


def state_folder(root: Path, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> Path:
    """Return the folder of the resumable state of a run with these settings and digests of inputs."""
    return root / digest({**settings, "inputs": list(inputs.values())})


def _check_fits(settings: TrainSettings, backbone: Path, ranks: Ranks) -> None:
    """Refuse a model that is too large for this rank's device, or its share of the machine, before it is loaded.

    Raises:
        UserError: it is.
    """
    place = find(backbone)
    if not place.local or not weight_files(Path(place.name)):
        return
    device, dtype = device_and_dtype(settings.training.precision)
    if device == "cuda":
        has = float(torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory)
    else:
        has = psutil.virtual_memory().total / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    load = Load(
        parameters=count_parameters(Path(place.name)),
        trainable="lora" if settings.lora else "full",
        precision="float32" if dtype == "float32" else "bf16",
        zero=settings.deepspeed.zero_optimization.model_dump(),
        ranks=ranks.world,
        rows=settings.training.batch_size // (accumulation_steps(settings.training, ranks.world) * ranks.world),
        checkpointing=settings.training.gradient_checkpointing,
    )
    check_fits(f"run {settings.run}", load, has, "device" if device == "cuda" else "rank of this machine")


def _end_with_parent() -> None:
    """Let the kernel kill this process when its launcher dies: no orphan writes beside the next start (Linux)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG


def _start_processes() -> None:
    """Join the process group of all ranks, on this rank's device."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    # DeepSpeed would compile a shared-memory helper for gloo on first use: a minute and a compiler for nothing here
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend="nccl" if torch.cuda.is_available() else "gloo", verbose=False)
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))


def _write(
    trainer: Trainer, readings: list[dict[str, Any]], inputs: dict[str, str], arguments: argparse.Namespace
) -> None:
    """Write the artifact of a finished run."""
    run, records, progress = RunId.parse(trainer.settings.run), trainer.records, trainer.progress
    state = trainer.state_folder
    facts = {"seed": run.seed, "ranks": trainer.ranks.world, "state": state.name, "inputs": inputs}
    with artifact_folder(arguments.output, record("train", arguments.settings, **facts)) as folder:
        shutil.copytree(state / MODEL, folder / MODEL)
        (folder / "checkpoints").mkdir()
        if (state / "checkpoints").is_dir():
            shutil.copytree(state / "checkpoints", folder / "checkpoints", dirs_exist_ok=True)
        if progress.best is not None:
            shutil.copytree(state / BEST, folder / "checkpoints" / BEST)
        accuracy = ({**run.columns, **row} for row in records.read("accuracy"))
        schemas.write(folder / "accuracy.parquet", schemas.ACCURACY, accuracy)
        predictions = ({"run": run.path, **row} for row in records.read("predictions"))
        schemas.write(folder / "predictions.parquet", schemas.PREDICTIONS, predictions)
        schemas.write(folder / "metrics.parquet", schemas.METRICS, records.read("metrics"))
        drawn = ({key: row[key] for key in row if key != "step"} for row in records.read("samples"))
        samples = ({"run": run.path, **row} for row in drawn)
        schemas.write(folder / "samples.parquet", schemas.SAMPLES, samples)
        write_json(folder / TIMES, trainer.times)
        schemas.write(folder / "readings.parquet", schemas.READINGS, ({"run": run.path, **row} for row in readings))
        spent = {"labelled_tokens": progress.labelled_tokens, "positions": progress.positions}
        schedule = {"stages": progress.realised, "updates": progress.step, "precision": trainer.dtype, **spent}
        write_json(folder / SCHEDULE, {**schedule, "unlearned": trainer.curriculum.unlearned, "best": progress.best})
        write_json(folder / SPELLINGS, trainer.parts.spellings)


if __name__ == "__main__":
    sys.exit(main())
