"""Compares the engine with a model's own plain forward pass, on a few short rows of random tokens.

The reference is the model's own forward pass over one row at a time, from its start, without masks, positions or cache:

    text      the row's ids
    latents   input vectors; before each latent, the row is run up to there to get the vector that is fed

The engine computes the same rows packed together, step by step with a cache, and by generation, and fills latents
itself. In small models, the gradients of the loss are compared, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch

from thoughtscope.backbones.comparison import Comparison
from thoughtscope.backbones.small import small_config, small_model
from thoughtscope.errors import UserError
from thoughtscope.latents.attention import attention_windows


@dataclass(frozen=True)
class Verdict:
    """The differences between the engine and the model's own forward pass.

    Attributes:
        model: its class.
        dtype: the dtype of both computations.
        attention: the attention implementation of both.
        tolerance: the largest relative difference that counts as agreement in this dtype.
        differences: for each comparison, ``max|a - b| / max|b|`` at the worst position, with `max|b|` over the row. In
            16 bits it is that at the median position, because rounding can send single tokens to other experts.
        positions: the length of the longest row.
        windows: the window of each kind of attention layer; windows longer than `positions` were not tested.
    """

    model: str
    dtype: str
    attention: str
    tolerance: float
    differences: dict[str, float]
    positions: int
    windows: dict[str, int | None]

    @property
    def largest(self) -> float:
        """The largest difference."""
        return max(self.differences.values())

    def record(self) -> dict[str, Any]:
        """Return the verdict as JSON, without the differences, which are rounding errors and vary between machines."""
        return {**asdict(self), "differences": sorted(self.differences)}

    def line(self) -> str:
        """Return the verdict as a sentence."""
        worst = max(self.differences, key=self.differences.__getitem__)
        return (
            f"the engine agrees with {self.model} in {self.dtype} up to {self.largest:.1e} ({worst}), "
            f"{self.tolerance:g} is allowed"
        )


def verify(model: Any, where: str, *, gradients: bool = False) -> Verdict:
    """Compare the engine with the model's own forward pass, over text and latents, with and without a cache.

    Args:
        model: a causal LM in evaluation mode.
        where: the backbone, for errors.
        gradients: compare the gradients of all parameters, too.

    Raises:
        UserError: they differ, or the engine cannot run the model; states what differs, and by how much.
    """
    comparison = Comparison(model, where)
    with torch.no_grad():
        for what, compare in comparison.parts():
            with _one_line(model, where, what):
                compare()
    if gradients:
        with _one_line(model, where, "the backward pass"):
            comparison.gradients()
    return Verdict(
        type(model).__name__,
        str(model.dtype).removeprefix("torch."),
        model.config._attn_implementation,
        comparison.tolerance,
        comparison.found,
        max(len(one.token_ids) for one in comparison.text),
        attention_windows(model.config.get_text_config()),
    )


def verify_backbone(model: Any, where: str, log: Callable[[str], None] = print) -> dict[str, Any]:
    """Verify a model, and a small copy of it in float32, in which windows and other effects of distance occur.

    Returns the verdicts as JSON, and logs the differences. A class that cannot be built small is verified in float32 at
    full size.

    Raises:
        UserError: see `verify`.
    """
    found = {"as it is loaded": verify(model, where)}
    try:
        small = small_model(type(model), small_config(model.config), model.config._attn_implementation)
    except Exception:  # sizes may not fit together, and a class may then raise any exception
        found["in float32"] = verify(model.float(), where)
    else:
        found["small copy"] = verify(small, f"{where}, a small copy", gradients=True)
    for name, verdict in found.items():
        log(f"{name}: {verdict.line()}")
    return {name: verdict.record() for name, verdict in found.items()}


@contextmanager
def _one_line(model: Any, where: str, what: str) -> Iterator[None]:
    """Turn any exception that a class raises into a `UserError`."""
    try:
        yield
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        problem = f"{type(model).__name__}: {what} does not run ({type(error).__name__}: {_first_line(error)})"
        raise UserError(where, problem, "use another model") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:150]
