"""Checks that stop a run with an error of one line."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from thoughtscope.errors import UserError


def check_update(run: str, step: int, loss: float, norm: float, largest_norm: float) -> None:
    """Stop a run after an update with an invalid loss or gradient.

    Raises:
        UserError: the loss is not finite, or the gradient norm is not finite or above `largest_norm`.
    """
    if not math.isfinite(loss):
        raise UserError(f"run {run}", f"the loss is {loss} at update {step}", "lower the learning rate or clip harder")
    if not norm <= largest_norm:
        raise UserError(
            f"run {run}",
            f"the gradient norm is {norm:.3g} at update {step}, above training.abort_gradient_norm",
            "lower the learning rate, or raise that limit if this is expected",
        )


def weights_digest(weights: dict[str, Tensor]) -> str:
    """Return a digest of named tensors, equal only if all bits are; copies one tensor at a time to the CPU."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        content = weights[name].detach().cpu().contiguous().view(-1).view(torch.uint8)
        digest.update(content.numpy().data)
    return digest.hexdigest()


def check_moved(run: str, step: int, before: str, after: str) -> None:
    """Stop a run whose weights did not change between two evaluations.

    Raises:
        UserError: the digests are equal.
    """
    if before == after:
        raise UserError(
            f"run {run}", f"no weight changed up to update {step}", "raise the learning rate, or check `trainable`"
        )


def check_stages(run: str, stages: Sequence[str], realised: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a finished run in which a stage of its curriculum had no update.

    Raises:
        UserError: there is such a stage; names it.
    """
    ran = {stage["name"] for stage in realised if stage["last_step"] > stage["first_step"]}
    for name in stages:
        if name not in ran:
            raise UserError(f"run {run}", f"stage {name!r} never ran", "raise training.updates or the stage's share")


def check_fixed(run: str, before: str, after: str) -> None:
    """Stop a frozen run whose backbone changed.

    Raises:
        UserError: the digests differ.
    """
    if before != after:
        raise UserError(
            f"run {run}", "a parameter of the frozen backbone moved", "report this: it is a fault in thoughtscope"
        )
