"""The settings of a file of `deepspeed/`: how the state of a run is sharded over ranks, and offloaded to host memory.

The keys are those of DeepSpeed; the program adds batch sizes, clipping and precision.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from thoughtscope.settings import Positive, Strict


class Offload(Strict):
    """Where a part of the state is stored instead of on the device."""

    device: Literal["cpu"] = "cpu"
    pin_memory: bool = Field(False, description="page-locked host memory: faster copies, not swappable")


class Zero(Strict):
    """ZeRO (arXiv 1910.02054): what is sharded over ranks; each stage includes the ones before."""

    stage: Literal[0, 1, 2, 3] = Field(0, description="0: nothing; 1: moments; 2: gradients; 3: parameters")
    offload_optimizer: Offload | None = Field(None, description="moments and float32 weights; from stage 1 on")
    offload_param: Offload | None = Field(None, description="parameters; stage 3")
    overlap_comm: bool | None = Field(None, description="reduce gradients during the backward pass")
    contiguous_gradients: bool | None = Field(None, description="copy gradients to one buffer as they are computed")
    reduce_bucket_size: Positive | None = Field(None, description="elements reduced at once")
    allgather_bucket_size: Positive | None = Field(None, description="elements gathered at once")

    @model_validator(mode="after")
    def _offload_fits_the_stage(self) -> Zero:
        if self.offload_optimizer and self.stage == 0:
            raise ValueError("offload_optimizer needs stage 1, 2 or 3")
        if self.offload_param and self.stage != 3:
            raise ValueError("offload_param needs stage 3")
        return self


class DeepSpeed(Strict):
    """How the state of a run is sharded and offloaded."""

    zero_optimization: Zero = Zero()
