"""Compares the engine with a model's own forward pass, on a few rows of random tokens."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from thoughtscope.errors import UserError
from thoughtscope.latents.attention import attention_windows
from thoughtscope.latents.cached import CachedRows
from thoughtscope.latents.decoder import context_length, decoder_of
from thoughtscope.latents.fill import Fill
from thoughtscope.latents.fills import fusion, hidden
from thoughtscope.latents.fills.base import BaseFill
from thoughtscope.latents.forward import forward
from thoughtscope.latents.generate import Decoding, generate
from thoughtscope.latents.head import logits
from thoughtscope.latents.layout import IGNORE, TokenSequence, sequence
from thoughtscope.latents.packing import Batch, pack
from thoughtscope.latents.scoring import loss_sum

TOLERANCES = {torch.float64: 1e-4, torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.1}
LENGTHS, LATENTS = (3, 7, 18), ((), (2, 4), (3, 4))  # of the rows, and where their latents are
OWN, OTHER = "the model's own forward pass", "use another model"
NEEDED = {
    "inputs_embeds": "input vectors",
    "past_key_values": "cache of keys and values",
    "position_ids": "positions",
}
HIDDEN = hidden.Settings(kind="hidden")
FUSION = fusion.Settings(kind="fusion", top_p=1.0, keep_crossing=True)  # all words: no rounding decides which are kept


@dataclass(frozen=True)
class Own:
    """The results of the model's own forward pass over one row.

    Attributes:
        last: ``[n, d]``, the input of the output head.
        layers: ``[n, d]`` for each entry of its `hidden_states`.
        logits: ``[n, vocabulary]``.
        loss: the model's own loss, summed over labels (its mean times their number), a scalar; 0 without labels.
    """

    last: Tensor
    layers: tuple[Tensor, ...]
    logits: Tensor
    loss: Tensor


class Comparison:
    """The comparisons of one model, the cheapest and most informative first; `found` collects their results."""

    def __init__(self, model: Any, where: str) -> None:
        self.model, self.where = model, where
        self.config = model.config.get_text_config()
        self.tolerance = TOLERANCES[model.dtype]
        self.found: dict[str, float] = {}
        rng, words = random.Random(0), _words(self.config)
        self.latent_id = words.pop()
        context = context_length(self.config) or LENGTHS[-1]
        texts = [rng.choices(words, k=min(length, context)) for length in LENGTHS]
        self.text = [sequence(str(i), ids[:2], ids[2:]) for i, ids in enumerate(texts)]
        self.thoughts = [self._with_latents(one, places) for one, places in zip(self.text, LATENTS, strict=True)]

    def parts(self) -> Iterator[tuple[str, Callable[[], None]]]:
        yield "a look at its parts", self._structure
        yield "its own forward pass", self._own_text
        yield "its packed forward pass", self._packed_text
        yield "attention", self._attention
        yield "a forward pass with latents", self._latents
        yield "a cached forward pass with latents", self._cached
        yield "generation", self._generated

    def _with_latents(self, one: TokenSequence, places: Sequence[int]) -> TokenSequence:
        ids = [self.latent_id if t in places else token for t, token in enumerate(one.token_ids)]
        return sequence(one.example_id, ids[:2], ids[2:], is_latent=[t in places for t in range(2, len(ids))])

    def _structure(self) -> None:
        """Refuse models whose structure the engine does not support, before anything runs."""
        check_config(self.config, self.where)
        takes = inspect.signature(decoder_of(self.model).forward).parameters
        for name, meaning in NEEDED.items():
            if name not in takes:
                raise self._refusal(f"its decoder takes no {meaning} ({name})")
        embedding, head = self.model.get_input_embeddings(), self.model.get_output_embeddings()
        if not hasattr(embedding, "weight") or not hasattr(head, "weight"):
            raise self._refusal("it has no single table of input embeddings, or no single output head")
        width, states = embedding.weight.shape[1], getattr(self.config, "hidden_size", None)
        if width != states:
            raise self._refusal(f"its input vectors are {width} wide, its configuration's hidden_size is {states}")

    def _own_text(self) -> None:
        self.own = [self._run(one.labels, input_ids=self._ids(one)) for one in self.text]
        longest = self.text[-1]
        half = self._run(None, input_ids=self._ids(longest)[:, : len(longest.token_ids) // 2])
        ahead = float(_gaps(half.last, self.own[-1].last[: len(half.last)]).median())
        if not ahead <= self.tolerance:
            raise self._refusal(
                f"its own forward pass changes a state by {ahead:.2g} (relative) when later tokens follow",
                "set is_decoder: true in config.json" if hasattr(self.config, "is_decoder") else OTHER,
            )
        depth = self.config.num_hidden_layers
        if len(self.own[0].layers) != depth + 1:
            raise self._refusal(f"it returns {len(self.own[0].layers)} hidden states for {depth} layers")

    def _packed_text(self) -> None:
        depth = self.config.num_hidden_layers
        batch = pack(self.text, None, device=self.model.device)
        output = forward(self.model, batch, None, range(depth + 1))
        self._compare("inputs", [output.inputs], [self.model.get_input_embeddings()(batch.token_ids)])
        self._compare("states", _rows(batch, output.last), [one.last for one in self.own])
        for layer in range(depth):
            self._compare("layers", _rows(batch, output.layers[layer]), [one.layers[layer] for one in self.own])
        self._compare("layers", _rows(batch, output.layers[depth]), [one.last for one in self.own])
        self._compare("logits", _rows(batch, logits(self.model, output.last)), [one.logits for one in self.own])
        loss = loss_sum(self.model, output, batch)
        self._compare("losses", [loss], [_total(self.own)])

    def _attention(self) -> None:
        """Compare sdpa with eager attention: an implementation may ignore a feature of a class, e.g. a soft cap."""
        if self.model.config._attn_implementation == "eager":
            return
        with _attention_implementation(self.model, "eager"):
            eager = [self._run(None, input_ids=self._ids(one)).logits for one in self.text]
        self._compare("logits of sdpa", [one.logits for one in self.own], eager, "those of eager attention")

    def _latents(self) -> None:
        self.thought: list[Own] = []
        for name, settings in (("fused", FUSION), ("hidden", HIDDEN)):
            fill = Fill(settings, self.latent_id)
            batch = pack(self.thoughts, settings, device=self.model.device)
            output = forward(self.model, batch, fill)
            self.thought = [self._recomputed(one, settings) for one in self.thoughts]
            self._compare(f"states with {name} latents", _rows(batch, output.last), [one.last for one in self.thought])
            loss = loss_sum(self.model, output, batch)
            self._compare(f"losses with {name} latents", [loss], [_total(self.thought)])

    def _cached(self) -> None:
        """Compare cached steps: rows start at different positions, have tokens and latents, and end one by one."""
        fill = Fill(HIDDEN, self.latent_id)
        at = [2, 3, 4]  # before a row of text, between two latents, and between two that follow each other
        prompts = [_prompt(one, start) for one, start in zip(self.thoughts, at, strict=True)]
        rows, alive = CachedRows.of(self.model, prompts, fill), list(range(len(at)))
        found: list[Tensor] = []
        expected: list[Tensor] = []
        while alive:
            found += [rows.last]
            expected += [torch.stack([self.thought[i].last[at[i] - 1] for i in alive])]
            staying = [k for k, i in enumerate(alive) if at[i] < len(self.thoughts[i].token_ids)]
            alive = [alive[k] for k in staying]
            if alive:
                rows.keep(torch.tensor(staying, device=self.model.device))
                tokens = [self.thoughts[i].token_ids[at[i]] for i in alive]
                latent = [self.thoughts[i].is_latent[at[i]] for i in alive]
                rows.advance(*(torch.tensor(one, device=self.model.device) for one in (tokens, latent)))
            for i in alive:
                at[i] += 1
        self._compare("cached states", [torch.cat(found)], [torch.cat(expected)])

    def _generated(self) -> None:
        """Generate greedily; each token must have the highest of the model's own logits, within the tolerance."""
        fill = Fill(HIDDEN, self.latent_id)
        prompts = [_prompt(one, start) for one, start in zip(self.thoughts, (2, 4, 5), strict=True)]
        decoding = Decoding(max_new_tokens=3, max_latents=0, loop_repeats=100)
        found = generate(self.model, prompts, fill, decoding, latent_id=self.latent_id, eos_ids=[-1])
        for prompt, made in zip(prompts, found, strict=True):
            scores = self._recomputed(made.sequence(self.latent_id), HIDDEN).logits[len(prompt.token_ids) - 1 : -1]
            scores[:, self.latent_id] = -torch.inf
            chosen = scores.gather(1, torch.tensor(made.response, device=scores.device)[:, None])[:, 0]
            finite = scores[scores.isfinite()]
            self._note("generated tokens", float((scores.amax(1) - chosen).max() / finite.abs().max()))

    def gradients(self) -> None:
        """Compare the gradients of the loss with latents, of all parameters that have one."""
        fill = Fill(HIDDEN, self.latent_id)
        batch = pack(self.thoughts, HIDDEN, for_labels=True, device=self.model.device)
        weights = [value for value in self.model.parameters() if value.requires_grad]
        loss = loss_sum(self.model, forward(self.model, batch, fill), batch)
        expected = _total([self._recomputed(one, HIDDEN) for one in self.thoughts])
        ours, theirs = (
            torch.autograd.grad(one, weights, allow_unused=True, materialize_grads=True) for one in (loss, expected)
        )
        scale = max(float(one.abs().max()) for one in theirs)
        for mine, other in zip(ours, theirs, strict=True):
            self._note("gradients", float((mine - other).abs().max()) / scale)

    def _recomputed(self, one: TokenSequence, settings: BaseFill) -> Own:
        """Run a row with latents: before each latent, run everything to its left again."""
        fed = self.model.get_input_embeddings()(self._ids(one))
        for t, latent in enumerate(one.is_latent):
            if latent:
                left = self._run(None, inputs_embeds=fed[:, :t].clone())
                vector = self._fused(left, settings.alpha) if isinstance(settings, fusion.Settings) else left.last[-1]
                fed = torch.cat([fed[:, :t], vector.to(fed.dtype)[None, None], fed[:, t + 1 :]], dim=1)
        return self._run(one.labels, inputs_embeds=fed)

    def _fused(self, left: Own, alpha: float) -> Tensor:
        """Return the vector ``[d]`` of LT-Tuning: the last state, mixed with the next token's expected embedding."""
        words = torch.arange(left.logits.shape[1], device=left.logits.device)
        chances = left.logits[-1].float().masked_fill(words == self.latent_id, -torch.inf).softmax(-1)
        expected: Tensor = chances @ self.model.get_input_embeddings()(words).float()
        return alpha * left.last[-1].float() + (1 - alpha) * expected

    def _run(self, labels: Sequence[int] | None, **inputs: Tensor) -> Own:
        """Call the model's own forward on one row; `labels` are at the positions that are predicted."""
        more = {} if labels is None else {"labels": torch.tensor([labels], device=self.model.device)}
        caught: list[Any] = []
        hook = decoder_of(self.model).register_forward_hook(lambda module, args, out: caught.append(out))
        try:
            out = self.model(**inputs, **more, use_cache=False, output_hidden_states=True, return_dict=True)
        finally:
            hook.remove()
        if len(caught) != 1:
            raise self._refusal("its own forward pass does not go through its decoder once")
        if caught[0].hidden_states is None:
            raise self._refusal("its decoder returns no hidden states")
        count = sum(label != IGNORE for label in labels or [])
        loss = out.loss * count if count else out.logits.new_zeros(())
        return Own(caught[0].last_hidden_state[0], tuple(h[0] for h in caught[0].hidden_states), out.logits[0], loss)

    def _ids(self, one: TokenSequence) -> Tensor:
        return torch.tensor([one.token_ids], device=self.model.device)

    def _compare(self, what: str, found: Sequence[Tensor], expected: Sequence[Tensor], against: str = OWN) -> None:
        gaps = torch.cat([_gaps(a, b) for a, b in zip(found, expected, strict=True)])
        exact = self.model.dtype.itemsize > 2
        self._note(what, float(gaps.max() if exact else gaps.median()), against)

    def _note(self, what: str, difference: float, against: str = OWN) -> None:
        """Record the largest difference of each kind; refuse one above the tolerance, or NaN."""
        if not difference <= self.tolerance:
            raise self._refusal(
                f"{what} differ from {against} by {difference:.2g} (relative; "
                f"{self.tolerance:g} is allowed in {str(self.model.dtype).removeprefix('torch.')})",
                OTHER if against == OWN else "set attention: eager",
            )
        self.found[what] = max(difference, self.found.get(what, 0.0))

    def _refusal(self, problem: str, fix: str = OTHER) -> UserError:
        return UserError(self.where, f"{type(self.model).__name__}: {problem}", fix)


def _total(rows: Sequence[Own]) -> Tensor:
    return torch.stack([one.loss for one in rows]).sum()


def _words(config: Any) -> list[int]:
    """Return a few hundred token ids that are not special tokens."""
    named = [value for name, value in config.to_dict().items() if name.endswith("token_id")]
    special = {one for value in named for one in (value if isinstance(value, list) else [value])}
    return [i for i in range(min(config.vocab_size, 512)) if i not in special]


def _rows(batch: Batch, states: Tensor) -> list[Tensor]:
    return [states[row[row >= 0]] for row in batch.index]


def _prompt(one: TokenSequence, length: int) -> TokenSequence:
    return TokenSequence(one.example_id, one.token_ids[:length], one.is_latent[:length], (IGNORE,) * length, length)


def _gaps(found: Tensor, expected: Tensor) -> Tensor:
    """Return ``max|found - expected| / max|expected|`` for each position, ``[n]``; the divisor is the same for all."""
    wide = expected.double()
    gaps = (found.double() - wide).abs()
    return (gaps.amax(-1) if gaps.dim() > 1 else gaps.max()[None]) / wide.abs().max()


@contextmanager
def _attention_implementation(model: Any, name: str) -> Iterator[None]:
    before = model.config._attn_implementation
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def check_config(config: Any, where: str) -> None:
    """Refuse a text configuration with features that the engine does not support.

    Raises:
        UserError: layers without keys and values, layers that read token ids, or another loss; names the feature.
    """
    attention_windows(config)
    if getattr(config, "hidden_size_per_layer_input", 0):
        raise UserError(
            f"{where}: config.json: hidden_size_per_layer_input",
            "every layer reads the token's id again, which a latent does not have",
            OTHER,
        )
    if getattr(config, "output_router_logits", False):
        raise UserError(
            f"{where}: config.json: output_router_logits",
            "it adds a loss that balances experts, which training here leaves out",
            "set it to false",
        )
