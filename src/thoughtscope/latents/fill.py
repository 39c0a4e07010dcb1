"""What is fed at a latent at position t, given what the model made at t-1.

pause   the latent token's own embedding: no recurrence
hidden  the hidden state of layer I (Coconut, arXiv 2412.06769)
fusion  that state mixed with the embedding the model expects next (LT-Tuning, arXiv 2602.10229)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from thoughtscope.methods.fills import FillSettings


class Fill(nn.Module):
    """Computes the vectors fed at latents; holds parameters only if the settings ask for an adapter.

    Args:
        settings: which fill.
        width: of the model.
        latent_id: the latent token, which never takes part in the prediction.
    """

    def __init__(self, settings: FillSettings, width: int, latent_id: int) -> None:
        super().__init__()
        self.settings, self.latent_id = settings, latent_id
        self.adapter: nn.Module | None = None
        if settings.adapter is not None:
            inner = settings.adapter
            self.adapter = nn.Sequential(
                nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width), nn.LayerNorm(width)
            )

    def bind(self, model: Any) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the fill for one forward: ``(last [n, d], chosen [n, d]) -> [n, d]``.

        `last` is the hidden state after the final norm at t-1, `chosen` that of the settings' layer.
        The embedding table is read once, through the embedding module (Gemma3 scales there).
        """
        if self.settings.kind != "fusion":
            return lambda last, chosen: chosen
        embed = model.get_input_embeddings()
        table = embed(torch.arange(model.config.get_text_config().vocab_size, device=model.device))

        def fuse(last: Tensor, chosen: Tensor) -> Tensor:
            predicted = nucleus(self._prediction(model, last), self.settings.top_p, self.settings.keep_crossing)
            expected = predicted.to(table.dtype) @ table[: predicted.shape[1]]
            mixed = self.settings.alpha * chosen + (1 - self.settings.alpha) * expected
            adapted: Tensor = mixed if self.adapter is None else self.adapter(mixed)
            return adapted

        return fuse

    def _prediction(self, model: Any, last: Tensor) -> Tensor:
        scores = logits(model, last).float() / self.settings.temperature
        banned = torch.arange(scores.shape[1], device=scores.device) == self.latent_id
        return scores.masked_fill(banned, -torch.inf).softmax(-1)


def logits(model: Any, hidden: Tensor) -> Tensor:
    """Return ``[..., vocabulary]`` for hidden states after the final norm, with the model's soft cap if it has one."""
    scores: Tensor = model.get_output_embeddings()(hidden)
    cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    return scores if cap is None else torch.tanh(scores / cap) * cap


def nucleus(probabilities: Tensor, top_p: float, keep_crossing: bool) -> Tensor:
    """Keep the likeliest entries of each row up to mass `top_p`, renormalised (arXiv 1904.09751).

    The published nucleus keeps the entry that crosses `top_p`; LT-Tuning's code drops it and falls back
    to the single likeliest. Both are here: `keep_crossing`.
    """
    ordered, order = probabilities.sort(dim=-1, descending=True)
    reached = ordered.cumsum(-1)
    inside = (reached - ordered < top_p) if keep_crossing else (reached <= top_p)
    inside[..., 0] = True
    keep = torch.zeros_like(inside).scatter(-1, order, inside)
    kept = probabilities * keep
    return kept / kept.sum(-1, keepdim=True)
