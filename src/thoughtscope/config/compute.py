"""The resources that jobs request, from the size of the backbone and the method. They do not affect results.

The bytes per parameter are explained in docs/slurm.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from thoughtscope.backbones.size import parameters
from thoughtscope.config.load import Study
from thoughtscope.config.schema import Compute
from thoughtscope.latents.fills.base import BaseFill
from thoughtscope.parsing import merge, parse
from thoughtscope.run_id import RunId
from thoughtscope.settings import collect
from thoughtscope.training.footprint import Footprint, Load
from thoughtscope.training.hyperparameters import Training

PROGRAM_MB = 2500  # MB of the launcher and one rank with a tiny model; measured below 1500
RANK_MB = 1500  # MB of each further rank
DEVICE_MB = 2500  # MB of host memory that CUDA and its libraries add to a rank
FILE_MB = 2 * 1074  # MB of a file of a saved state, and of the tensor that is gathered for the next one
UNKNOWN = 10**9  # parameters assumed for a backbone of unknown size
ACTIVATIONS = 1.25  # share of the memory of weights and moments
CONTEXT_GB = 4  # GB of CUDA itself, and of fragmentation
SAVED, CPU_WEIGHT = 4, 4  # bytes per parameter: of a saved model, and on the CPU
MORE_MB = 1000  # MB that each retry adds, or half of the first request if that is more


@dataclass(frozen=True)
class Request:
    """The resources that a job requests.

    Args:
        nodes: number of nodes.
        gpus: devices of each node.
        ranks: processes of each node, one for each device.
        cores: of each node.
        mem_mb: memory of each node in MB.
        minutes: time limit.
        gpu_type: the cluster's name for the devices; None: any.
        warning_seconds: how long before the time limit the job is signalled to save.
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
        """Further options of sbatch: the signal before the time limit, and the devices of several nodes."""
        warning = f"--signal=USR1@{self.warning_seconds}"
        devices = ":".join([self.gpu_type, str(self.gpus)] if self.gpu_type else [str(self.gpus)])
        return f"{warning} --gpus-per-node={devices}" if self.nodes > 1 and self.gpus else warning


def training_request(study: Study, run: RunId, attempt: int = 1) -> Request:
    """Return the request for training `run`; each attempt after a failure requests more memory and time."""
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


def load_of(study: Study, run: RunId, ranks: int, device: bool) -> Load | None:
    """Return what decides how much memory `run` takes; None if the size of its backbone is unknown.

    Args:
        ranks: processes of the run.
        device: whether each has a device.
    """
    training, size = study.training(run), parameters(study.backbone(run.backbone))
    if size is None:
        return None
    return Load(
        parameters=size,
        trainable=run.trainable,
        precision=_precision(training, device),
        zero=study.deepspeed(training.deepspeed).get("zero_optimization", {}),
        ranks=ranks,
        rows=training.micro_batch_size or max(1, training.batch_size // ranks),
        checkpointing=training.gradient_checkpointing,
    )


def _host_mb(footprint: Footprint, size: int, ranks: int, nodes: int, precision: str, device: bool) -> int:
    """Return the host memory in MB of `ranks` processes of a node, for a model of `size` parameters."""
    if not size:
        return 0
    loading = ranks * (4 if precision == "float32" else 2)
    offloaded = footprint.offloaded / nodes
    if device:  # weights are moved to the devices before the first rank saves a model
        held = offloaded + max(loading, SAVED)
    else:
        held = offloaded + ranks * footprint.whole + footprint.shared / nodes + SAVED
    return FILE_MB + int(held * size / 1e6)


def reading_request(study: Study, backbone: str, attempt: int = 1) -> Request:
    """Return the request of an extraction: a process for each device, which loads the backbone."""
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
    """Return the settings `compute` of the main file with the overrides of the backbone."""
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
    """Return the number of devices that a run needs, a power of two."""
    for devices in (1 << power for power in range(7)):
        if _device_gb(footprint, size, devices) <= compute.gpu_memory_gb:
            return devices
    return compute.gpus_per_node  # no number of devices suffices at this ZeRO stage


def _device_gb(footprint: Footprint, size: int, devices: int) -> float:
    """Return the memory in GB that a run needs on each of `devices`."""
    return (footprint.whole + footprint.shared / devices) * size / 1e9 * ACTIVATIONS + CONTEXT_GB


def _precision(training: Training, device: bool) -> str:
    """Resolve `auto`: bf16 on a device, float32 on the CPU, as in `reasoner.device_and_dtype`."""
    wide = training.precision == "float32" or (training.precision == "auto" and not device)
    return "float32" if wide else "bf16"


def _size(study: Study, backbone: str) -> int:
    """Return the number of parameters of a backbone: 0 if it is tiny, `UNKNOWN` if its size is unknown."""
    found = parameters(study.backbone(backbone))
    return UNKNOWN if found is None else found


def _sequential(method: BaseModel) -> bool:
    """Return whether a method computes latents one after another, which takes longer."""
    return any(fill.sequential for fill in collect(method, BaseFill))
