"""Fusion: the hidden state is mixed with the embedding that the model expects next (LT-Tuning, arXiv 2602.10229)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from thoughtscope.latents.fills.base import BaseFill, Feed
from thoughtscope.settings import Positive, PositiveFloat, Probability

if TYPE_CHECKING:
    from torch import Tensor, nn


class Settings(BaseFill):
    """The hidden state mixed with the embedding that the model expects next (LT-Tuning, arXiv 2602.10229)."""

    reads_head: ClassVar[bool] = True

    kind: Literal["fusion"]
    alpha: Probability = Field(0.6, description="weight of the hidden state")
    top_p: Probability = Field(0.9, description="nucleus of the prediction")
    temperature: PositiveFloat = Field(1.0, description="of the prediction")
    keep_crossing: bool = Field(False, description="keep the token that crosses top_p; else drop it, never all")
    adapter: Positive | None = Field(None, description="inner width of an adapter on the mix; null: none")

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """The adapter's inner width."""
        return () if self.adapter is None else (self.adapter,)

    def parameters(self, width: int) -> nn.Module | None:
        """Return the adapter, a perceptron with one inner layer and a norm, if it has one."""
        from torch import nn

        if self.adapter is None:
            return None
        inner = self.adapter
        return nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width), nn.LayerNorm(width))

    def feed(self, model: Any, latent_id: int, parameters: nn.Module | None) -> Feed:
        """Return the mix, adapted; the embeddings are read once, through their module (Gemma3 scales there)."""
        import torch

        from thoughtscope.latents.head import nucleus

        embed = model.get_input_embeddings()
        table = embed(torch.arange(model.config.get_text_config().vocab_size, device=model.device))

        def fuse(last: Tensor, chosen: Tensor) -> Tensor:
            prediction = predict(model, last, latent_id, self.temperature)
            likely = nucleus(prediction, self.top_p, self.keep_crossing)
            expected = likely.to(table.dtype) @ table[: likely.shape[1]]
            mixed = self.alpha * chosen + (1 - self.alpha) * expected
            fed: Tensor = mixed if parameters is None else parameters(mixed)
            return fed

        return fuse


def predict(model: Any, last: Tensor, latent_id: int, temperature: float = 1.0) -> Tensor:
    """Return the distribution ``[n, vocabulary]`` of the next token of text after hidden states ``[n, d]``."""
    import torch

    from thoughtscope.latents.head import logits

    scores = logits(model, last).float() / temperature
    banned = torch.arange(scores.shape[1], device=scores.device) == latent_id
    return scores.masked_fill(banned, -torch.inf).softmax(-1)
