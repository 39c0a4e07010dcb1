"""Reads texts that begin with the same tokens: what they share is computed once, the rest of each text after it.

A chat template puts the same tokens before every question, often more than the question and its answer have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from thoughtscope.errors import UserError
from thoughtscope.latents.attention import attention_mask, attention_windows
from thoughtscope.latents.decoder import context_length, decoder_of, layer_states
from thoughtscope.latents.forward import forward
from thoughtscope.latents.layout import TokenSequence, sequence
from thoughtscope.latents.packing import pack


@dataclass(frozen=True)
class Read:
    """What a model computes at the tokens after the shared ones.

    Attributes:
        layers: for each layer ``[rows, longest rest, d]``, 0 = embedding output, the last one after the final norm.
        start: position of the first token in every row.
    """

    layers: list[Tensor]
    start: int

    def at(self, layer: int, rows: Tensor, positions: Tensor) -> Tensor:
        """Return the states ``[n, d]`` of a layer at `positions` ``[n]`` of `rows` ``[n]``."""
        return self.layers[layer][rows, positions - self.start]


class Reader:
    """A model that has read the tokens with which all texts begin.

    Args:
        model: a Transformers causal LM.
        shared: those tokens; may be empty.
    """

    def __init__(self, model: Any, shared: Sequence[int]) -> None:
        self.model, self.shared = model, list(shared)
        self.windows = attention_windows(model.config.get_text_config())
        self.batch = pack([sequence("shared", self.shared, [])], None, device=model.device) if shared else None
        self.cache = forward(model, self.batch, None).cache if self.batch else None

    def read(self, sequences: Sequence[TokenSequence]) -> Read:
        """Compute the hidden states of all layers at what follows the shared tokens.

        Raises:
            UserError: a text is longer than the model's context.
        """
        device, start = self.model.device, len(self.shared)
        rest = [torch.tensor(one.token_ids[start:], device=device) for one in sequences]
        ids = torch.nn.utils.rnn.pad_sequence(rest, batch_first=True)  # what fills the end, no token before it sees
        self._check(start + ids.shape[1])
        keys = torch.arange(start + ids.shape[1], device=device)
        queries = keys[start:].expand_as(ids)
        embedded = self.model.get_input_embeddings()(ids)
        cache = None
        if self.cache is not None and self.batch is not None:
            cache = self.cache.unpacked(self.batch.index.expand(len(sequences), -1))
        out = decoder_of(self.model)(
            inputs_embeds=embedded,
            attention_mask=attention_mask(self.windows, queries, keys[None], embedded.dtype),
            position_ids=queries,
            past_key_values=cache,
            use_cache=cache is not None,
            output_hidden_states=True,
        )
        return Read([layer_states(out, layer) for layer in range(len(out.hidden_states))], start)

    def _check(self, longest: int) -> None:
        config = self.model.config.get_text_config()
        context = context_length(config)
        if context is not None and longest > context:
            raise UserError(
                f"model {config.model_type}",
                f"a text of {longest} tokens exceeds its context of {context}",
                "shorten or remove it",
            )


def shared_tokens(sequences: Sequence[TokenSequence]) -> list[int]:
    """Return the tokens with which all sequences begin, less than the shortest prompt has."""
    prompts = [one.token_ids[: one.prompt_length - 1] for one in sequences]
    first = min(prompts, key=len)
    same = next((i for i, token in enumerate(first) if any(one[i] != token for one in prompts)), len(first))
    return list(first[:same])
