"""Writes a trained model as a Hugging Face folder in float32, with merged adapter, using one copy on the CPU."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from thoughtscope.reasoner import Reasoner


def save_reasoner(folder: Path, reasoner: Reasoner, peft: Any, weights: Mapping[str, Tensor]) -> None:
    """Save a reasoner with its trained weights.

    Args:
        reasoner: its model may be sharded, on a device or in bf16; trained values are taken from `weights`.
        peft: the adapter around the model, or None where the model itself was trained.
        weights: all trained parameters by their names in `training.network.Network`, float32 on the CPU; they are saved
            without another copy.
    """
    own = _under(weights, "model.")
    if peft is None:
        model = _with_weights(reasoner.model, own)
    else:
        model = _on_cpu(peft, peft.get_base_model(), own).merge_and_unload()
    fills = {
        kind: _on_cpu(fill, fill, _under(weights, f"fills.{kind}.")) for kind, fill in reasoner.fill_modules.items()
    }
    replace(reasoner, model=model, fill_modules=fills).save(folder)


def _under(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names start with `prefix`, without the prefix."""
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def _with_weights(model: Any, weights: Mapping[str, Tensor]) -> Any:
    """Return a model of the same class that uses `weights` as its parameters, without copying them."""
    with torch.device("meta"):
        made = type(model)._from_config(copy.deepcopy(model.config), dtype=torch.float32)
    kept = {name for name in made.state_dict() if name in dict(model.named_buffers())}
    buffers = {name: value.cpu() for name, value in model.named_buffers() if name in kept}
    made.load_state_dict({**weights, **buffers}, strict=False, assign=True)
    made.tie_weights()
    made.generation_config = model.generation_config
    return made


def _on_cpu(module: Any, owner: nn.Module, weights: Mapping[str, Tensor]) -> Any:
    """Return a copy of `module` on the CPU in float32, without a copy on its device.

    Args:
        owner: the submodule whose parameters `weights` name; other parameters keep their values.
    """
    copies: dict[int, Any] = {}
    for name, value in owner.named_parameters():
        held = weights[name] if name in weights else value.detach().to("cpu", torch.float32, copy=True)
        copies[id(value)] = nn.Parameter(held, requires_grad=value.requires_grad)
    for buffer in owner.buffers():
        dtype = torch.float32 if buffer.is_floating_point() else buffer.dtype
        copies[id(buffer)] = buffer.detach().to("cpu", dtype, copy=True)
    return copy.deepcopy(module, copies)
