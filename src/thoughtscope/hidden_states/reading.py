"""Reads texts that begin alike: every token is computed once for all texts in which the same tokens come before it.

A chat template puts the same tokens before every question, often more than the question and its answer have: they are
read first. Texts with the same prompt are then read together as a tree, in which each token sees those before it.

    Who is X?  X is a  ┬ painter
                       └ physicist  ┬ .
                                    └ and chemist.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from thoughtscope.errors import UserError
from thoughtscope.latents.attention import attention_mask, attention_windows
from thoughtscope.latents.decoder import context_length, decoder_of, layer_states
from thoughtscope.latents.forward import forward
from thoughtscope.latents.layout import TokenSequence, sequence
from thoughtscope.latents.packing import pack

LARGEST = 16  # texts of a tree
BATCH = 512  # tokens, padding included: enough to keep a core busy, few enough that all layers of a batch are small


@dataclass(frozen=True)
class Tree:
    """Texts of one prompt, merged where they begin alike.

    Attributes:
        texts: the texts.
        tokens: ``[nodes]``, ids; parents: ``[nodes]``, the node before each, -1 after the shared tokens.
        depths: ``[nodes]``, how many tokens after the shared ones a node stands.
        paths: of each text, the node of each token after the shared ones.
    """

    texts: Sequence[TokenSequence]
    tokens: list[int]
    parents: list[int]
    depths: list[int]
    paths: list[list[int]]

    @classmethod
    def of(cls, texts: Sequence[TokenSequence], start: int) -> Tree:
        """Merge texts after their first `start` tokens."""
        tree, known = cls(texts, [], [], [], []), dict[tuple[int, int], int]()
        for text in texts:
            node, path = -1, []
            for depth, token in enumerate(text.token_ids[start:]):
                if (node, token) not in known:
                    known[node, token] = len(tree.tokens)
                    tree.tokens.append(token)
                    tree.parents.append(node)
                    tree.depths.append(depth)
                node = known[node, token]
                path.append(node)
            tree.paths.append(path)
        return tree

    def visible(self) -> Tensor:
        """Return ``[nodes, nodes]``: whether the first is the second or comes after it in a text."""
        seen = torch.eye(len(self.tokens), dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                seen[node] |= seen[parent]
        return seen


def trees(sequences: Sequence[TokenSequence], start: int, size: int) -> Iterator[list[Tree]]:
    """Yield batches of trees of texts with the same prompt, sorted by their number of nodes.

    A batch ends when it has `size` texts, or would exceed `BATCH` nodes with the next tree.
    """

    def prompt(one: TokenSequence) -> Sequence[int]:
        return one.token_ids[: one.prompt_length]

    found = []
    for _, group in groupby(sorted(sequences, key=lambda one: (*prompt(one), -1, *one.token_ids)), key=prompt):
        texts = list(group)
        found += [Tree.of(texts[i : i + LARGEST], start) for i in range(0, len(texts), LARGEST)]
    found.sort(key=lambda tree: len(tree.tokens))
    batch: list[Tree] = []
    for tree in found:
        full = sum(len(one.texts) for one in batch) >= size
        if batch and (full or (len(batch) + 1) * len(tree.tokens) > BATCH):
            yield batch
            batch = []
        batch.append(tree)
    if batch:
        yield batch


@dataclass(frozen=True)
class Read:
    """What a model computes at the tokens after the shared ones.

    Attributes:
        layers: for each layer ``[trees, nodes, d]``, 0 = embedding output, the last one after the final norm.
        nodes: ``[texts, tokens]``, the place of each token of each text, in the order of the trees, in
            ``[trees * nodes]``; what fills the end is 0.
        start: position of the first token in every text.
    """

    layers: list[Tensor]
    nodes: Tensor
    start: int

    def at(self, layer: int, rows: Tensor, positions: Tensor) -> Tensor:
        """Return the states ``[n, d]`` of a layer at `positions` ``[n]`` of the texts `rows` ``[n]``."""
        return self.layers[layer].flatten(0, 1)[self.nodes[rows, positions - self.start]]


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

    def read(self, batch: Sequence[Tree]) -> Read:
        """Compute the hidden states of all layers at what follows the shared tokens.

        Raises:
            UserError: a text is longer than the model's context.
        """
        arguments = self.arguments(batch)
        nodes = arguments["position_ids"].shape[1]
        out = decoder_of(self.model)(**arguments, output_hidden_states=True)
        layers = [layer_states(out, layer) for layer in range(len(out.hidden_states))]
        paths = [[row * nodes + node for node in path] for row, tree in enumerate(batch) for path in tree.paths]
        return Read(layers, _padded(paths).to(self.model.device), len(self.shared))

    def arguments(self, batch: Sequence[Tree]) -> dict[str, Any]:
        """Return what a forward pass of the model over a batch of trees is called with.

        Raises:
            UserError: a text is longer than the model's context.
        """
        device, start = self.model.device, len(self.shared)
        ids, depths = (_padded([getattr(tree, name) for tree in batch]).to(device) for name in ("tokens", "depths"))
        rows, nodes = ids.shape
        self._check(start + int(depths.max()) + 1)
        seen = torch.eye(nodes, dtype=torch.bool).repeat(rows, 1, 1)
        for row, tree in enumerate(batch):
            seen[row, : len(tree.tokens), : len(tree.tokens)] = tree.visible()
        seen = torch.cat([torch.ones(rows, nodes, start, dtype=torch.bool), seen], dim=2).to(device)
        queries = start + depths
        keys = torch.cat([torch.arange(start, device=device).expand(rows, -1), queries], dim=1)
        embedded = self.model.get_input_embeddings()(ids)
        cache = None
        if self.cache is not None and self.batch is not None:
            cache = self.cache.unpacked(self.batch.index.expand(rows, -1))
        return {
            "inputs_embeds": embedded,
            "attention_mask": attention_mask(self.windows, queries, keys, embedded.dtype, seen),
            "position_ids": queries,
            "past_key_values": cache,
            "use_cache": cache is not None,
        }

    def _check(self, longest: int) -> None:
        config = self.model.config.get_text_config()
        context = context_length(config)
        if context is not None and longest > context:
            raise UserError(
                f"model {config.model_type}",
                f"a text of {longest} tokens exceeds its context of {context}",
                "shorten or remove it",
            )


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row, dtype=torch.long) for row in rows], batch_first=True)


def shared_tokens(sequences: Sequence[TokenSequence]) -> list[int]:
    """Return the tokens with which all sequences begin, less than the shortest prompt has."""
    prompts = [one.token_ids[: one.prompt_length - 1] for one in sequences]
    first = min(prompts, key=len)
    same = next((i for i, token in enumerate(first) if any(one[i] != token for one in prompts)), len(first))
    return list(first[:same])
