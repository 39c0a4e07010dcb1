"""What jobs ask a machine for, from the backbone's size and the method; a request, never part of a result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from thoughtscope.config.load import Study
from thoughtscope.config.parse import merge, parse
from thoughtscope.config.run import Run
from thoughtscope.config.schema import Compute
from thoughtscope.latents.settings import BaseFill

PROGRAM_MB = 2500  # what Snakemake, torchrun and a rank with a tiny model take; measured below 1500
ACTIVATIONS = 1.25  # of what weights and moments take
CONTEXT_GB = 4  # CUDA's own, and what its allocator loses


@dataclass(frozen=True)
class Request:
    """What a job asks for.

    Args:
        nodes: how many.
        gpus: devices of each node.
        ranks: processes of each node: one for each device.
        cores: of each node.
        mem_mb: memory of each node.
        minutes: time limit.
        gpu_type: which devices, as the cluster calls them; None: any.
        warning_seconds: how long before the time limit the job is told to save.
    """

    nodes: int
    gpus: int
    ranks: int
    cores: int
    mem_mb: int
    minutes: int
    gpu_type: str | None
    warning_seconds: int

    @property
    def slurm_options(self) -> str:
        """What sbatch is told beyond Snakemake's own resources: the warning, and the devices of several nodes."""
        warning = f"--signal=USR1@{self.warning_seconds}"
        devices = ":".join([self.gpu_type, str(self.gpus)] if self.gpu_type else [str(self.gpus)])
        return f"{warning} --gpus-per-node={devices}" if self.nodes > 1 and self.gpus else warning


def training_request(study: Study, run: Run, attempt: int = 1) -> Request:
    """Return what training `run` asks for; each attempt after a failure asks for more memory and time."""
    compute, parameters = compute_of(study, run.backbone), _parameters(study, run.backbone)
    devices = _devices(study, run, compute, parameters)
    gpus = min(devices, compute.gpus_per_node) if compute.gpus is None else compute.gpus
    nodes = compute.nodes or max(1, -(-devices // compute.gpus_per_node))
    ranks = gpus or compute.ranks
    state_mb = 16 * parameters // 10**6 if run.trainable == "live" else 4 * parameters // 10**6
    minutes = (60 + 60 * parameters // 10**9) * (2 if _sequential(study.method(run.method)) else 1)
    return _request(compute, attempt, nodes, gpus, ranks, PROGRAM_MB + ranks * state_mb, minutes)


def reading_request(study: Study, backbone: str, attempt: int = 1) -> Request:
    """Return what one process asks for that loads a backbone and reads or writes with it."""
    compute, parameters = compute_of(study, backbone), _parameters(study, backbone)
    gpus = min(1, parameters if compute.gpus is None else compute.gpus)
    return _request(compute, attempt, 1, gpus, 1, PROGRAM_MB + 4 * parameters // 10**6, 60 + 30 * parameters // 10**9)


def compute_of(study: Study, backbone: str) -> Compute:
    """Return what the config says of jobs: the main file, with the backbone's own keys on top."""
    patch = study.backbone(backbone).compute
    where = f"{study.file('backbones', backbone)}: compute"
    return parse(Compute, merge(study.config.compute.model_dump(), patch), where)


def _request(compute: Compute, attempt: int, nodes: int, gpus: int, ranks: int, mem_mb: int, minutes: int) -> Request:
    mem_mb = compute.mem_mb or mem_mb
    minutes = min(compute.minutes or minutes, compute.longest_minutes)
    return Request(
        nodes=nodes,
        gpus=gpus,
        ranks=ranks,
        cores=ranks * compute.cores,
        mem_mb=mem_mb << (attempt - 1),
        minutes=min(minutes * attempt, compute.longest_minutes),
        gpu_type=compute.gpu_type if gpus else None,
        warning_seconds=compute.warning_seconds,
    )


def _devices(study: Study, run: Run, compute: Compute, parameters: int) -> int:
    """Return how many devices hold a run: 0 for a tiny backbone, else the smallest power of two that suffices."""
    if study.backbone(run.backbone).source == "tiny":
        return 0
    stage = study.deepspeed(study.training(run).deepspeed).get("zero_optimization", {}).get("stage", 0)
    for devices in (1 << power for power in range(7)):
        if _device_gb(parameters, stage, devices, run.trainable) <= compute.gpu_memory_gb:
            return devices
    return compute.gpus_per_node  # no number suffices at this ZeRO stage


def _device_gb(parameters: int, stage: int, devices: int, trainable: str) -> float:
    """Return what one of `devices` holds, in GB: ZeRO, arXiv 1910.02054, section 3.1, with AdamW in bf16."""
    if trainable == "frozen":
        return 2 * parameters / 1e9 * ACTIVATIONS + CONTEXT_GB
    whole = {0: 16, 1: 4, 2: 2, 3: 0}[stage]
    return (whole + (16 - whole) / devices) * parameters / 1e9 * ACTIVATIONS + CONTEXT_GB


def _parameters(study: Study, backbone: str) -> int:
    """Return a published backbone's number of parameters; 0 if it is tiny or not known."""
    settings = study.backbone(backbone)
    return 0 if settings.source == "tiny" else settings.facts.parameters or 0


def _sequential(method: BaseModel) -> bool:
    """Return whether a method computes latents one after the other, which takes longer."""
    return any(fill.sequential for fill in _fills(method))


def _fills(value: Any) -> Iterator[BaseFill]:
    if isinstance(value, BaseFill):
        yield value
    elif isinstance(value, BaseModel):
        for _, inner in value:
            yield from _fills(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _fills(inner)
