"""What is fed at a latent at position t, given what the model made at t-1.

pause   the latent token's own embedding: no recurrence
hidden  the hidden state of layer I (Coconut, arXiv 2412.06769)
fusion  that state mixed with the embedding the model expects next (LT-Tuning, arXiv 2602.10229)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from thoughtscope.latents.forward import segmented_forward
from thoughtscope.latents.head import logits, nucleus
from thoughtscope.latents.packing import Batch
from thoughtscope.latents.passes import Trace
from thoughtscope.latents.settings import FillSettings, Fusion


class Fill(nn.Module):
    """Computes the vectors fed at latents; holds parameters only if the settings ask for an adapter.

    Args:
        settings: which fill; a network sets it anew at each stage.
        width: of the model.
        latent_id: the latent token, which never takes part in the prediction.
    """

    def __init__(self, settings: FillSettings, width: int, latent_id: int) -> None:
        super().__init__()
        self.settings, self.latent_id = settings, latent_id
        self.adapter: nn.Module | None = None
        if isinstance(settings, Fusion) and settings.adapter is not None:
            inner = settings.adapter
            self.adapter = nn.Sequential(
                nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width), nn.LayerNorm(width)
            )

    def run(self, model: Any, batch: Batch, layers: Iterable[int]) -> Trace:
        """Run a model over `batch`, latents filled; see `latents.passes.forward`."""
        return segmented_forward(model, batch, self, layers)

    def bind(self, model: Any) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the fill for one forward: ``(last [n, d], chosen [n, d]) -> [n, d]``.

        `last` is the hidden state after the final norm at t-1, `chosen` that of the settings' layer.
        The embedding table is read once, through the embedding module (Gemma3 scales there).
        """
        settings = self.settings
        if not isinstance(settings, Fusion):
            return lambda last, chosen: chosen
        embed = model.get_input_embeddings()
        table = embed(torch.arange(model.config.get_text_config().vocab_size, device=model.device))

        def fuse(last: Tensor, chosen: Tensor) -> Tensor:
            prediction = self._prediction(model, last, settings.temperature)
            predicted = nucleus(prediction, settings.top_p, settings.keep_crossing)
            expected = predicted.to(table.dtype) @ table[: predicted.shape[1]]
            mixed = settings.alpha * chosen + (1 - settings.alpha) * expected
            adapted: Tensor = mixed if self.adapter is None else self.adapter(mixed)
            return adapted

        return fuse

    def _prediction(self, model: Any, last: Tensor, temperature: float = 1.0) -> Tensor:
        scores = logits(model, last).float() / temperature
        banned = torch.arange(scores.shape[1], device=scores.device) == self.latent_id
        return scores.masked_fill(banned, -torch.inf).softmax(-1)
