"""Compares the engine with a model's own plain forward pass, on a few short rows of random tokens.

The reference runs the model's own forward, one row at a time, from its start, without masks, positions or a cache:

    text      the row's ids
    latents   input vectors; before each latent the row so far is run again to get what is fed there

The engine computes the same rows packed together, with latents filled as it goes, cached step by step, and generated.
Gradients of the loss are compared where that is cheap: in small models.
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
    """How far the engine is from the model's own forward pass.

    Attributes:
        model: its class.
        dtype: in which both were computed.
        attention: which implementation both used.
        tolerance: the largest relative difference that counts as agreement in this dtype.
        differences: by what was compared, how far it is apart at the worst position, relative to the largest number
            of its row: ``max|a - b| / max|b|``. In 16 bits it is the median position instead of the worst, because
            rounding sends single tokens to other experts.
        positions: of the longest row.
        windows: the kinds of attention layers with their windows; one longer than `positions` was not reached.
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
        """The largest of the differences."""
        return max(self.differences.values())

    def record(self) -> dict[str, Any]:
        """Return the verdict as JSON, without the differences: they are rounding, and another machine's are others."""
        return {**asdict(self), "differences": sorted(self.differences)}

    def line(self) -> str:
        """Return the verdict as a sentence."""
        worst = max(self.differences, key=self.differences.__getitem__)
        return (
            f"the engine agrees with {self.model} in {self.dtype} up to {self.largest:.1e} ({worst}), "
            f"{self.tolerance:g} is allowed"
        )


def verify(model: Any, where: str, *, gradients: bool = False) -> Verdict:
    """Compare the engine with `model`'s own forward pass: states, logits, loss; text, latents, cached, generated.

    Args:
        model: a causal LM in evaluation mode.
        where: the backbone, for errors.
        gradients: compare the gradients of all parameters, too.

    Raises:
        UserError: they differ, or the model cannot be run this way; one line that says what, and by how much.
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
    """Verify a model, and in float32 a small copy of it, which reaches windows and whatever else acts at a distance.

    Returns the verdicts as JSON, and logs how large the differences are. A class that cannot be built small is
    verified in float32 at its full size.

    Raises:
        UserError: see `verify`.
    """
    found = {"as it is loaded": verify(model, where)}
    try:
        small = small_model(type(model), small_config(model.config), model.config._attn_implementation)
    except Exception:  # sizes that do not fit together: any class may raise anything
        found["in float32"] = verify(model.float(), where)
    else:
        found["small copy"] = verify(small, f"{where}, a small copy", gradients=True)
    for name, verdict in found.items():
        log(f"{name}: {verdict.line()}")
    return {name: verdict.record() for name, verdict in found.items()}


@contextmanager
def _one_line(model: Any, where: str, what: str) -> Iterator[None]:
    """Turn whatever a class raises into one line; what that may be cannot be listed."""
    try:
        yield
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        problem = f"{type(model).__name__}: {what} does not run ({type(error).__name__}: {_first_line(error)})"
        raise UserError(where, problem, "use another model") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:150]
