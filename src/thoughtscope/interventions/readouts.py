"""What each latent would say: the tokens nearest to its states by the output head, and to its fed vector by embedding.

States of inner layers pass the final norm first (the logit lens, nostalgebraist 2020).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from thoughtscope.backbones.prompt import decoded
from thoughtscope.errors import UserError
from thoughtscope.latents.decoder import decoder_of
from thoughtscope.latents.forward import forward
from thoughtscope.latents.generate import Decoding
from thoughtscope.latents.head import logits
from thoughtscope.latents.packing import pack
from thoughtscope.reasoner import Reasoner

Row = dict[str, Any]
HEAD, EMBEDDING = "head", "embedding"


@torch.no_grad()
def readouts(
    reasoner: Reasoner, rows: Sequence[Mapping[str, Any]], decoding: Decoding, layers: Sequence[int], top: int
) -> Iterator[Row]:
    """Yield the `top` nearest tokens of each latent, by layer; of every question that has latents.

    Args:
        rows: `schemas.REASONING`.
        layers: hidden-state layers that the output head reads, 0 = embeddings; the last is after the final norm.
    """
    latent = -1 if reasoner.latent_id is None else reasoner.latent_id
    for start in range(0, len(rows), decoding.batch_size):
        asked = rows[start : start + decoding.batch_size]
        generations = reasoner.generate([reasoner.encode(row) for row in asked], decoding)
        sequences = [one.sequence(latent) for one in generations]
        batch = pack(sequences, reasoner.fill.settings if reasoner.fill else None, device=reasoner.model.device)
        output = forward(reasoner.model, batch, reasoner.fill, layers)
        places = [
            (i, k, int(batch.index[i, t]))
            for i, one in enumerate(sequences)
            for k, t in enumerate((t for t, flag in enumerate(one.is_latent) if flag), start=1)
        ]
        if not places:
            continue
        at = torch.tensor([token for _, _, token in places], device=reasoner.model.device)
        nearest: dict[tuple[str, int | None], tuple[Tensor, Tensor]] = {}
        nearest[EMBEDDING, None] = by_embedding(reasoner.model, output.inputs[at], top)
        nearest |= {(HEAD, one): by_head(reasoner.model, output.layers[one][at], one, top) for one in layers}
        texts: dict[int, str] = {}
        for (readout, layer), (scores, ids) in nearest.items():
            for (i, k, _), values, tokens in zip(places, scores.tolist(), ids.tolist(), strict=True):
                for rank, (value, token) in enumerate(zip(values, tokens, strict=True), start=1):
                    text = texts.setdefault(token, decoded(reasoner.tokenizer, [token]))
                    about = {"example_id": asked[i]["example_id"], "question": asked[i]["question"]}
                    about |= {"step_values": asked[i]["step_values"] or [], "latent_index": k}
                    yield about | {"readout": readout, "layer": layer, "rank": rank, "token": text, "score": value}


def by_head(model: Any, states: Tensor, layer: int, top: int) -> tuple[Tensor, Tensor]:
    """Return the likeliest tokens after states ``[n, d]`` of a layer: probabilities and ids, ``[n, top]`` each."""
    decoder = decoder_of(model)
    normed = states if layer == decoder.config.num_hidden_layers else final_norm(decoder)(states)
    found = logits(model, normed).float().softmax(-1).topk(top)
    return found.values, found.indices


def by_embedding(model: Any, fed: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """Return the tokens whose embeddings point most nearly the same way as ``fed [n, d]``: cosines and ids."""
    embedding = model.get_input_embeddings()
    table = F.normalize(embedding(torch.arange(embedding.weight.shape[0], device=fed.device)).float(), dim=-1)
    found = (F.normalize(fed.float(), dim=-1) @ table.T).topk(top)
    return found.values, found.indices


def final_norm(decoder: Any) -> Any:
    """Return the norm that a decoder applies after its last layer.

    Raises:
        UserError: it has none.
    """
    found = [child for child in decoder.children() if "Norm" in type(child).__name__]
    if not found:
        model = f"model {decoder.config.model_type}"
        raise UserError(model, "no final norm found, which inner layers need before the head", "set layers: last")
    return found[-1]
