"""What jobs ask a machine for, from the backbone's size and the method; a request, never part of a result.

What is counted, in bytes a parameter, is documented in docs/slurm.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from thoughtscope.backbones.size import parameters
from thoughtscope.config.load import Study
from thoughtscope.config.schema import Compute
from thoughtscope.latents.fills.base import BaseFill
from thoughtscope.parsing import merge, parse
from thoughtscope.run_id import RunId
from thoughtscope.settings import collect
from thoughtscope.training.hyperparameters import Training

PROGRAM_MB = 2500  # what the scheduler's process, torchrun and a rank with a tiny model take; measured below 1500
RANK_MB = 1500  # each further rank
DEVICE_MB = 2500  # what a rank takes more on a device, for CUDA and its libraries
FILE_MB = 2 * 1074  # a file of a saved state, and the tensor that is gathered for the next one
UNKNOWN = 10**9  # parameters of a backbone whose size is unknown
ACTIVATIONS = 1.25  # of what weights and moments take
CONTEXT_GB = 4  # CUDA's own, and what its allocator loses
SAVED, CPU_WEIGHT = 4, 4  # bytes a parameter: of a model that is written, and on the CPU
MORE_MB = 1000  # what a retry asks for in addition, or half of the first request if that is more


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
        warning_seconds: how long before the time limit the job is asked to save.
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
        """Further options of sbatch: the warning, and the devices of several nodes."""
        warning = f"--signal=USR1@{self.warning_seconds}"
        devices = ":".join([self.gpu_type, str(self.gpus)] if self.gpu_type else [str(self.gpus)])
        return f"{warning} --gpus-per-node={devices}" if self.nodes > 1 and self.gpus else warning


@dataclass(frozen=True)
class Footprint:
    """Bytes a parameter that training takes: ZeRO, arXiv 1910.02054, section 3.1, with AdamW.

    Attributes:
        whole: on every rank.
        shared: divided among all ranks.
        offloaded: divided among all ranks, in host memory instead of on the device.
    """

    whole: float
    shared: float
    offloaded: float

    @classmethod
    def of(cls, trainable: str, precision: str, zero: dict[str, Any]) -> Footprint:
        """Return what a run takes.

        Args:
            precision: float32 or bf16.
            zero: `zero_optimization` of the DeepSpeed configuration.
        """
        weight = 4.0 if precision == "float32" else 2.0
        if trainable == "lora":
            return cls(weight, 0.0, 0.0)
        gradient, optimizer = weight, 8.0 if precision == "float32" else 12.0
        stage = zero.get("stage", 0) or (0 if precision == "float32" else 1)  # see training.engine.sharding
        parts = {"weight": (weight, 3), "gradient": (gradient, 2), "optimizer": (optimizer, 1)}
        away = {name for name in ("optimizer", "param") if zero.get(f"offload_{name}", {}).get("device") == "cpu"}
        offloaded = (optimizer + 4.0 if "optimizer" in away else 0.0) + (weight if "param" in away else 0.0)
        if "optimizer" in away:  # gradients are gathered in float32 beside the moments
            del parts["optimizer"]
        if "param" in away:
            del parts["weight"]
        whole = sum(size for size, least in parts.values() if stage < least)
        return cls(whole, sum(size for size, least in parts.values() if stage >= least), offloaded)


def training_request(study: Study, run: RunId, attempt: int = 1) -> Request:
    """Return what training `run` asks for; each attempt after a failure asks for more memory and time."""
    compute, training, size = compute_of(study, run.backbone), study.training(run), _size(study, run.backbone)
    zero = study.deepspeed(training.deepspeed).get("zero_optimization", {})
    tiny = study.backbone(run.backbone).source == "tiny"
    on_device = Footprint.of(run.trainable, _precision(training, device=True), zero)
    devices = 0 if tiny else _devices(on_device, size, compute)
    gpus = min(devices, compute.gpus_per_node) if compute.gpus is None else compute.gpus
    nodes = compute.nodes or max(1, -(-devices // compute.gpus_per_node))
    ranks = gpus or compute.ranks
    footprint = on_device if gpus else Footprint.of(run.trainable, _precision(training, device=False), zero)
    host = PROGRAM_MB + (ranks - 1) * RANK_MB + gpus * DEVICE_MB
    host += _host_mb(footprint, size, ranks, nodes, _precision(training, device=bool(gpus)), device=bool(gpus))
    minutes = (60 + 60 * size // 10**9) * (2 if _sequential(study.method(run.method)) else 1)
    return _request(compute, attempt, nodes, gpus, ranks, host, minutes)


def _host_mb(footprint: Footprint, size: int, ranks: int, nodes: int, precision: str, device: bool) -> int:
    """Return what `ranks` processes of a node hold in host memory for a model of `size` parameters."""
    if not size:
        return 0
    loading = ranks * (4 if precision == "float32" else 2)
    offloaded = footprint.offloaded / nodes
    if device:  # weights leave for the devices before the first rank writes its first model
        held = offloaded + max(loading, SAVED)
    else:
        held = offloaded + ranks * footprint.whole + footprint.shared / nodes + SAVED
    return FILE_MB + int(held * size / 1e6)


def reading_request(study: Study, backbone: str, attempt: int = 1) -> Request:
    """Return what an extraction asks for: a process for each device, which loads the backbone and reads or writes."""
    compute, size = compute_of(study, backbone), _size(study, backbone)
    tiny = study.backbone(backbone).source == "tiny"
    gpus = int(not tiny) if compute.gpus is None else compute.gpus
    ranks = gpus or compute.ranks
    weight = 4 if _precision(study.common_training(backbone), device=bool(gpus)) == "float32" else 2
    host = PROGRAM_MB + (ranks - 1) * RANK_MB + gpus * DEVICE_MB + ranks * weight * size // 10**6
    return _request(compute, attempt, 1, gpus, ranks, host, 60 + 30 * size // 10**9)


def numbers_request(attempt: int = 1) -> Request:
    """Return what one process asks for that loads stored vectors and no model."""
    return Request(1, 0, 1, 1, mem_mb=3000 * attempt, minutes=60 * attempt, gpu_type=None, warning_seconds=0)


def building_mb(study: Study, backbone: str) -> int:
    """Return the host memory, in MB, to load a given backbone once and check it, or to build a tiny one."""
    return PROGRAM_MB + CPU_WEIGHT * _size(study, backbone) // 10**6


def compute_of(study: Study, backbone: str) -> Compute:
    """Return the settings of jobs: the main file, with the backbone's own keys on top."""
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
        mem_mb=mem_mb + (attempt - 1) * max(mem_mb // 2, MORE_MB),
        minutes=min(minutes * attempt, compute.longest_minutes),
        gpu_type=compute.gpu_type if gpus else None,
        warning_seconds=compute.warning_seconds,
    )


def _devices(footprint: Footprint, size: int, compute: Compute) -> int:
    """Return the smallest power of two of devices that hold a run."""
    for devices in (1 << power for power in range(7)):
        if _device_gb(footprint, size, devices) <= compute.gpu_memory_gb:
            return devices
    return compute.gpus_per_node  # no number suffices at this ZeRO stage


def _device_gb(footprint: Footprint, size: int, devices: int) -> float:
    """Return what one of `devices` holds, in GB."""
    return (footprint.whole + footprint.shared / devices) * size / 1e9 * ACTIVATIONS + CONTEXT_GB


def _precision(training: Training, device: bool) -> str:
    """Return what `auto` means: bf16 on a device, float32 on the CPU (`reasoner.device_and_dtype`)."""
    wide = training.precision == "float32" or (training.precision == "auto" and not device)
    return "float32" if wide else "bf16"


def _size(study: Study, backbone: str) -> int:
    """Return a backbone's number of parameters: 0 if it is tiny, `UNKNOWN` if its size is not given."""
    found = parameters(study.backbone(backbone))
    return UNKNOWN if found is None else found


def _sequential(method: BaseModel) -> bool:
    """Return whether a method computes latents one after the other, which takes longer."""
    return any(fill.sequential for fill in collect(method, BaseFill))
