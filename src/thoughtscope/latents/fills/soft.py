"""Soft: the mean of the embeddings that the model expects next (Soft Thinking, arXiv 2505.15778)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from thoughtscope.latents.fills.base import BaseFill, Feed
from thoughtscope.settings import Positive, PositiveFloat, Probability

if TYPE_CHECKING:
    from torch import Tensor, nn


class Settings(BaseFill):
    """The mean of the embeddings that the model expects next, each weighted by its probability."""

    reads_head: ClassVar[bool] = True
    layer: ClassVar[None] = None  # type: ignore[misc]  # no key of this kind
    sweeps: ClassVar[None] = None  # type: ignore[misc]

    kind: Literal["soft"]
    temperature: PositiveFloat = Field(1.0, description="of the prediction")
    top_k: Positive | None = Field(None, description="keep at most so many tokens, the likeliest; null: all")
    top_p: Probability = Field(1.0, description="keep the likeliest tokens that hold this share of the probability")
    min_p: Probability = Field(0.0, description="keep tokens at least so likely, as a share of the likeliest one")

    def feed(self, model: Any, latent_id: int, parameters: nn.Module | None) -> Feed:
        """Return the mean embedding of the tokens kept; the latent token is none of them."""
        import torch

        from thoughtscope.latents.fills.fusion import predict
        from thoughtscope.latents.head import likely

        embed = model.get_input_embeddings()
        table = embed(torch.arange(model.config.get_text_config().vocab_size, device=model.device))

        def mix(last: Tensor, chosen: Tensor) -> Tensor:
            kept = likely(predict(model, last, latent_id, self.temperature), self.top_k, self.top_p, self.min_p)
            mean: Tensor = kept.to(table.dtype) @ table[: kept.shape[1]]
            return mean

        return mix
