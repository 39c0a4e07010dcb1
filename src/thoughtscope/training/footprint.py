"""What a run takes of the memory of a device, from its settings and the size of its model. Loads nothing.

    weights, gradients, moments    bytes a parameter, `Footprint`
    activations                    `activations`, of a model of that size
    CUDA itself                    `CONTEXT`

Only the first line is certain, so only that refuses a run (`check_fits`); the others decide which settings would fit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from thoughtscope.errors import UserError

AFFECTS_RESULTS = False
CONTEXT = 4e9  # bytes: CUDA's own, and what its allocator loses
ROW = 256  # positions of a row, where nothing is known of the task yet
ASPECT = 128  # width by depth of a language model
KEPT, KEPT_WITH_CHECKPOINTING = 17, 3  # vectors a layer and position: arXiv 2205.05198, eq. 1; its input, key and value
RANKS = (1, 2, 4, 8, 16, 32, 64)


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
    def of(cls, trainable: str, precision: str, zero: Mapping[str, Any]) -> Footprint:
        """Return what a run takes. Of a frozen one, adapters and their moments are small and left out.

        Args:
            precision: float32 or bf16.
            zero: `zero_optimization` of the DeepSpeed configuration.
        """
        weight = 4.0 if precision == "float32" else 2.0
        if trainable == "lora":
            return cls(0.0, weight, 0.0) if zero.get("stage") == 3 else cls(weight, 0.0, 0.0)
        gradient, optimizer = weight, 8.0 if precision == "float32" else 12.0
        stage = zero.get("stage", 0) or (0 if precision == "float32" else 1)  # see training.engine.sharding
        parts = {"weight": (weight, 3), "gradient": (gradient, 2), "optimizer": (optimizer, 1)}
        away = {name for name in ("optimizer", "param") if (zero.get(f"offload_{name}") or {}).get("device") == "cpu"}
        offloaded = (optimizer + 4.0 if "optimizer" in away else 0.0) + (weight if "param" in away else 0.0)
        if "optimizer" in away:  # gradients are gathered in float32 beside the moments
            del parts["optimizer"]
        if "param" in away:
            del parts["weight"]
        whole = sum(size for size, least in parts.values() if stage < least)
        return cls(whole, sum(size for size, least in parts.values() if stage >= least), offloaded)


@dataclass(frozen=True)
class Load:
    """What decides how much memory a run takes.

    Attributes:
        parameters: of the model.
        trainable: full or lora.
        precision: float32 or bf16.
        zero: `zero_optimization` of the DeepSpeed configuration.
        ranks: processes of the run, one for each device.
        rows: examples that a rank holds at once.
        checkpointing: `training.gradient_checkpointing`.
    """

    parameters: int
    trainable: str
    precision: str
    zero: Mapping[str, Any]
    ranks: int
    rows: int
    checkpointing: bool

    @property
    def states(self) -> float:
        """Bytes of weights, gradients and moments on a device."""
        bytes_each = Footprint.of(self.trainable, self.precision, self.zero)
        return (bytes_each.whole + bytes_each.shared / self.ranks) * self.parameters

    @property
    def activations(self) -> float:
        """Bytes that the forward pass keeps, of a model with `ASPECT`: 12 depth width^2 parameters."""
        width = math.cbrt(self.parameters * ASPECT / 12)
        vectors = KEPT_WITH_CHECKPOINTING if self.checkpointing else KEPT
        size = 4 if self.precision == "float32" else 2
        return self.rows * ROW * (width / ASPECT) * vectors * width * size

    @property
    def needed(self) -> float:
        """Bytes on a device, all together."""
        return self.states + self.activations + CONTEXT


def check_fits(where: str, load: Load, available: float, unit: str) -> None:
    """Refuse a run whose weights, gradients and moments alone exceed the memory.

    Args:
        available: bytes.
        unit: what has them, e.g. ``device``.

    Raises:
        UserError: they do; the line says what would fit.
    """
    if load.states <= available:
        return
    raise UserError(
        where,
        f"weights, gradients and moments of {load.parameters / 1e9:.2f} billion parameters take "
        f"{load.states / 1e9:.0f} GB, a {unit} has {available / 1e9:.0f}",
        advice(load, available),
    )


def advice(load: Load, available: float) -> str:
    """Return the fewest changes with which a run fits: micro-batch, checkpointing, ZeRO stage, ranks."""
    for other in _alternatives(load):
        if other.needed <= available:
            return "set " + ", ".join(_changes(load, other))
    return "take a smaller backbone, or trainable: lora" if load.trainable == "full" else "take a smaller backbone"


def _alternatives(load: Load) -> Iterator[Load]:
    ranks = [count for count in RANKS if count >= load.ranks]
    stages = [load.zero, {"stage": 2}, {"stage": 3}]
    for count, zero, checkpointing, rows in itertools.product(
        ranks, stages, (load.checkpointing, True), (load.rows, 1)
    ):
        yield replace(load, ranks=count, zero=zero, checkpointing=checkpointing, rows=rows)


def _changes(load: Load, other: Load) -> Iterator[str]:
    if other.ranks != load.ranks:
        yield f"{other.ranks} ranks"
    if other.zero != load.zero:
        yield f"training.deepspeed: zero{other.zero['stage']}"
    if other.checkpointing != load.checkpointing:
        yield "training.gradient_checkpointing: true"
    if other.rows != load.rows:
        yield "training.micro_batch_size: 1"
