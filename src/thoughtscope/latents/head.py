"""From hidden states to tokens: scores over the vocabulary, and the likeliest part of a distribution."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


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
