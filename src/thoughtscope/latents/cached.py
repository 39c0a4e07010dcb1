"""Rows that grow by one position at a time, their cache kept: what a step of generation computes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from thoughtscope.latents.attention import attention_mask, attention_windows
from thoughtscope.latents.decoder import decoder_of, layer_states
from thoughtscope.latents.fill import Fill
from thoughtscope.latents.forward import forward
from thoughtscope.latents.layout import TokenSequence
from thoughtscope.latents.packing import Batch, pack
from thoughtscope.latents.passes import ModelOutput


class CachedRows:
    """Rows of any length with their keys and values.

    Attributes:
        last: ``[rows, d]``, the hidden state after the final norm at each row's last position.
        chosen: ``[rows, d]``, the state there of the layer that the fill uses.

    Args:
        model: a Transformers causal LM.
        fill: what is fed at latents; None without latents.
        batch: what the rows start with.
        output: of the forward over `batch`, with the layer that the fill uses.
    """

    def __init__(self, model: Any, fill: Fill | None, batch: Batch, output: ModelOutput) -> None:
        self.model = model
        self.windows = attention_windows(model.config.get_text_config())
        self.feed = fill.feed(model) if fill is not None and fill.settings.sequential else None
        self.layer = fill.settings.layer if fill else None
        self.cache, self.valid = output.cache.unpacked(batch.index.clamp(min=0)), batch.index >= 0
        self.positions = torch.arange(batch.index.shape[1], device=model.device).expand_as(batch.index)
        self.next_position = batch.lengths
        self.last = output.last[batch.ends]
        self.chosen = self.last if self.layer is None else output.layers[self.layer][batch.ends]

    @classmethod
    def of(cls, model: Any, prompts: Sequence[TokenSequence], fill: Fill | None, *, passes: int = 0) -> CachedRows:
        """Compute prompts, whose latents are filled.

        Args:
            passes: compute at least this many passes (ranks that work together need equally many).
        """
        batch = pack(prompts, fill.settings if fill else None, passes=passes, device=model.device)
        layer = fill.settings.layer if fill else None
        return cls(model, fill, batch, forward(model, batch, fill, [] if layer is None else [layer]))

    def branched(self, rows: Tensor, lengths: Tensor) -> CachedRows:
        """Return new rows that start as rows of these, before any of them advanced.

        They have no states until they advance.

        Args:
            rows: ``[n]``, which row each starts as; a row may occur several times.
            lengths: ``[n]``, how many of its positions it keeps.
        """
        made, longest = copy.copy(self), int(lengths.max())
        made.cache = DynamicCache()
        for number, layer in enumerate(self.cache.layers):
            made.cache.update(layer.keys[rows, :, :longest], layer.values[rows, :, :longest], number)
        made.positions = self.positions[rows, :longest]
        made.valid = self.valid[rows, :longest] & (made.positions < lengths[:, None])
        made.next_position = lengths
        return made

    def keep(self, rows: Tensor) -> None:
        """Keep the rows of these indices ``[kept]``; the others leave, and their part of the cache with them."""
        self.cache.batch_select_indices(rows)
        self.valid, self.positions = self.valid[rows], self.positions[rows]
        self.next_position = self.next_position[rows]
        self.last, self.chosen = self.last[rows], self.chosen[rows]

    def advance(self, tokens: Tensor, latent: Tensor | None) -> None:
        """Compute one more position of every row.

        Args:
            tokens: ``[rows]``, the ids there.
            latent: ``[rows]``, which of them are latents and get the fill's vector; None: none can be.
        """
        fed = self.model.get_input_embeddings()(tokens)
        if self.feed is not None and latent is not None:
            fed = torch.where(latent[:, None], self.feed(self.last, self.chosen).to(fed.dtype), fed)
        self.advance_by(fed)

    def advance_by(self, fed: Tensor) -> None:
        """Compute one more position of every row, where the vectors ``fed [rows, d]`` are fed."""
        now = self.next_position[:, None]
        self.positions = torch.cat([self.positions, now], dim=1)
        self.valid = torch.cat([self.valid, torch.ones_like(now, dtype=torch.bool)], dim=1)
        out = decoder_of(self.model)(
            inputs_embeds=fed[:, None],
            attention_mask=attention_mask(self.windows, now, self.positions, fed.dtype, self.valid),
            position_ids=now,
            past_key_values=self.cache,
            use_cache=True,
            output_hidden_states=self.layer is not None,
        )
        self.last = out.last_hidden_state[:, -1]
        self.chosen = layer_states(out, self.layer)[:, -1]
        self.next_position = self.next_position + 1
