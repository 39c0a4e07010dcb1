"""The base of all fills: their settings and their computation. Imports no torch, so that config can load it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from thoughtscope.settings import Count, Positive, Strict

if TYPE_CHECKING:
    from torch import Tensor, nn

Feed = Callable[["Tensor", "Tensor"], "Tensor"]


class BaseFill(Strict):
    """A fill: the vector that is fed at a latent at position t, computed from hidden states at t-1.

    A subclass named `Settings` sets `kind: Literal["my-fill"]`, adds keys of its own, and defines `feed`.

    Attributes:
        sequential: whether a latent needs the hidden state before it, so that latents are computed one after another;
            if not, its token's embedding is fed, and `feed` is never called.
        reads_head: whether `feed` computes the output head.
    """

    sequential: ClassVar[bool] = True
    reads_head: ClassVar[bool] = False

    kind: str
    layer: Count | None = Field(None, description="hidden-state layer (0 = embeddings); null: the last, after the norm")
    sweeps: Positive | None = Field(
        None,
        description="compute all latents of a response in this many parallel (Jacobi) sweeps, which start from the "
        "latent token's embedding; null: one by one",
    )

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """The settings that decide the shapes of `parameters`. Stages of one kind share parameters: they must agree."""
        return ()

    def parameters(self, width: int) -> nn.Module | None:
        """Return a new module with the fill's trained parameters, for hidden states of `width`; None: it has none."""
        return None

    def feed(self, model: Any, latent_id: int, parameters: nn.Module | None) -> Feed:
        """Return the function of one forward pass that computes the fed vectors: ``(last, chosen) -> fed``.

        All three are ``[n, d]`` for n latents: `last` is the hidden state after the final norm at t-1, `chosen` that of
        `layer`.

        Args:
            model: a Transformers causal LM.
            latent_id: id of the latent token.
            parameters: the module that `parameters` returned, as trained so far.
        """
        raise NotImplementedError
