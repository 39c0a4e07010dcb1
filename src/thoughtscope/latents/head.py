"""From hidden states to tokens: scores over the vocabulary, and the likeliest part of a distribution."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from thoughtscope.latents.decoder import decoder_of, replaced_forward


def logits(model: Any, hidden: Tensor) -> Tensor:
    """Return scores ``[n, vocabulary]`` for hidden states ``[n, d]`` after the final norm, by the model's own head.

    The causal LM's own forward runs, with the given states in place of its decoder's: whatever its class does
    after the decoder (projections, biases, multipliers, soft caps) is what comes out, at the price of the head.
    """
    with replaced_forward(decoder_of(model), lambda *args, **kwargs: _GivenStates(hidden[None])):
        scores: Tensor = model.forward(inputs_embeds=hidden[None], use_cache=False, return_dict=True).logits
    return scores[0]


class _GivenStates:
    """A decoder's output that holds states only; all else that a class may look for (router scores, ...) is None."""

    def __init__(self, states: Tensor) -> None:
        self.last_hidden_state = states

    def __getitem__(self, index: int | slice) -> Any:
        return (self.last_hidden_state,)[index]

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


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


def likely(probabilities: Tensor, top_k: int | None, top_p: float, min_p: float) -> Tensor:
    """Keep the likely entries of each row ``[n, vocabulary]``, renormalised: by `top_k`, then `top_p`, then `min_p`.

    Args:
        top_k: how many are kept at most; None: all.
        top_p: the mass that is kept, with the entry that crosses it.
        min_p: what an entry must have of the likeliest one (arXiv 2407.01082).
    """
    kept = probabilities
    if top_k is not None and top_k < kept.shape[1]:
        values, places = kept.topk(top_k, dim=-1)
        kept = torch.zeros_like(kept).scatter(-1, places, values)
        kept = kept / kept.sum(-1, keepdim=True)
    kept = nucleus(kept, top_p, keep_crossing=True)
    kept = kept * (kept >= min_p * kept.amax(-1, keepdim=True))
    return kept / kept.sum(-1, keepdim=True)
