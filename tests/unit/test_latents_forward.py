"""The segmented, cached, batched forward is the same function as recomputing every row alone from its start."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.families import FAMILIES, LATENT, PAD, VOCABULARY, WIDTH, make_model
from thoughtscope.errors import UserError
from thoughtscope.latents.columns import Batch, align
from thoughtscope.latents.fill import Fill, nucleus
from thoughtscope.latents.forward import segmented_forward
from thoughtscope.latents.layout import IGNORE, Sequence, sequence
from thoughtscope.latents.scoring import label_probabilities, loss_sum
from thoughtscope.methods.fills import FillSettings

FILLS = {
    "hidden": FillSettings(kind="hidden"),
    "middle layer": FillSettings(kind="hidden", layer=2),
    "fusion": FillSettings(kind="fusion"),
    "fusion of a middle layer": FillSettings(kind="fusion", layer=1, alpha=0.3, keep_crossing=True),
    "fusion with adapter": FillSettings(kind="fusion", adapter=16),
    "fusion of all words": FillSettings(kind="fusion", top_p=1.0, keep_crossing=True),  # smooth: rounding flips nothing
}


def interleaved(seed: int, rows: int = 5) -> list[Sequence]:
    numbers = random.Random(seed)
    made = []
    for i in range(rows):
        prompt = [numbers.randrange(4, VOCABULARY) for _ in range(numbers.randint(1, 6))]
        response = [
            LATENT if numbers.random() < 0.35 else numbers.randrange(4, VOCABULARY)
            for _ in range(numbers.randint(1, 9))
        ]
        made.append(sequence(str(i), prompt, response, latent_id=LATENT))
    return made


def block(seed: int, rows: int = 4) -> list[Sequence]:
    numbers = random.Random(seed)
    made = []
    for i in range(rows):
        prompt = [numbers.randrange(4, VOCABULARY) for _ in range(numbers.randint(2, 6))]
        thoughts = [LATENT] * numbers.randint(0, 4)
        text = [numbers.randrange(4, VOCABULARY) for _ in range(numbers.randint(2, 5))]
        labelled = [False] * len(thoughts) + [True] * len(text)
        made.append(sequence(str(i), prompt, thoughts + text, latent_id=LATENT, labelled=labelled))
    return made


LAYOUTS = {"interleaved": interleaved, "block": block}


def naive_states(model: Any, one: Sequence, fill: Fill | None) -> Tensor:
    """Return the last hidden states ``[time, d]`` of one row, its prefix recomputed whole before every latent."""
    vector = fill.bind(model) if fill else None
    fed = model.get_input_embeddings()(torch.tensor([one.token_ids]))
    for t, latent in enumerate(one.is_latent):
        if latent and fill and vector and fill.settings.sequential:
            out = model.get_decoder()(inputs_embeds=fed[:, :t], use_cache=False, output_hidden_states=True)
            layer = fill.settings.layer
            states = out.last_hidden_state if layer is None else out.hidden_states[layer]
            made = vector(out.last_hidden_state[:, -1], states[:, -1])
            fed = torch.cat([fed[:, :t], made[:, None], fed[:, t + 1 :]], dim=1)
    return model.get_decoder()(inputs_embeds=fed, use_cache=False).last_hidden_state[0]  # type: ignore[no-any-return]


def naive_loss(model: Any, rows: list[Sequence], fill: Fill | None) -> Tensor:
    """Return the published loss, written out: shifted cross-entropy, summed over labels, one row after another."""
    total = torch.zeros((), dtype=torch.float64)
    for one in rows:
        scores = model.lm_head(naive_states(model, one, fill))[:-1]
        labels = torch.tensor(one.labels[1:])
        total = total + F.cross_entropy(scores, labels, ignore_index=IGNORE, reduction="sum")
    return total


def rows_of(batch: Batch, states: Tensor, rows: list[Sequence]) -> list[Tensor]:
    return [states[r, batch.columns[r, : len(one.token_ids)]] for r, one in enumerate(rows)]


def relative(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).abs().max() / expected.abs().max().clamp(min=1e-30)).item()


def make_fill(name: str, dtype: torch.dtype = torch.float64) -> Fill:
    torch.manual_seed(1)
    return Fill(FILLS[name], WIDTH, LATENT).to(dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FILLS)
@pytest.mark.parametrize("family", FAMILIES)
def test_values_and_gradients_equal_naive_recomputation(family: str, name: str, layout: str) -> None:
    rows, model, fill = LAYOUTS[layout](7), make_model(family), make_fill(name)
    batch = align(rows, PAD)
    trace = segmented_forward(model, batch, fill)
    for found, one in zip(rows_of(batch, trace.last, rows), rows, strict=True):
        assert relative(found, naive_states(model, one, fill)) < 1e-9
    loss, expected = loss_sum(model, trace, batch), naive_loss(model, rows, fill)
    assert relative(loss, expected) < 1e-9
    parameters = [*model.parameters(), *fill.parameters()]
    ours = torch.autograd.grad(loss, parameters, allow_unused=True)
    theirs = torch.autograd.grad(expected, parameters, allow_unused=True)
    largest = max(float(g.abs().max()) for g in theirs if g is not None)
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine is None) == (other is None)
        if mine is not None and other is not None:
            assert float((mine - other).abs().max()) / largest < 1e-9


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("family", ["mistral", "gemma3_text", "qwen3"])
def test_random_layouts_equal_naive_recomputation_in_float32(family: str, seed: int) -> None:
    rows, model = interleaved(seed, rows=7), make_model(family, torch.float32, tied=seed % 2 == 0)
    fill = make_fill("fusion of all words", torch.float32)
    batch = align(rows, PAD)
    trace = segmented_forward(model, batch, fill)
    for found, one in zip(rows_of(batch, trace.last, rows), rows, strict=True):
        assert relative(found, naive_states(model, one, fill)) < 1e-5


def test_bfloat16_stays_within_its_own_rounding() -> None:
    rows, model, fill = interleaved(3), make_model("qwen3"), make_fill("hidden")
    batch = align(rows, PAD)
    exact = segmented_forward(model, batch, fill).last
    rough = segmented_forward(make_model("qwen3", torch.bfloat16), batch, fill).last
    seen = batch.valid
    assert relative(rough[seen].double(), exact[seen]) < 0.08  # 2**-8 a rounding, a few dozen roundings deep


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_both_attention_implementations_give_the_same(attention: str) -> None:
    rows, fill = interleaved(5), make_fill("hidden")
    model = make_model("gemma3_text", attention=attention)
    trace = segmented_forward(model, align(rows, PAD), fill)
    assert relative(rows_of(align(rows, PAD), trace.last, rows)[0], naive_states(model, rows[0], fill)) < 1e-9


@pytest.mark.parametrize("family", FAMILIES)
def test_other_rows_and_the_pad_id_change_nothing(family: str) -> None:
    rows, model, fill = interleaved(11), make_model(family), make_fill("fusion")
    together = align(rows, PAD)
    found = rows_of(together, segmented_forward(model, together, fill).last, rows)
    for r, one in enumerate(rows):
        alone = align([one], 17, passes=len(together.passes) + 1)
        states = segmented_forward(model, alone, fill).last
        assert relative(found[r], rows_of(alone, states, [one])[0]) < 1e-9


@pytest.mark.parametrize("seed", range(10))
def test_a_batch_needs_one_pass_and_one_more_for_each_latent_of_its_longest_row(seed: int) -> None:
    rows = interleaved(seed)
    batch = align(rows, PAD)
    assert len(batch.passes) == 1 + max(one.latents for one in rows)
    assert batch.real_tokens == sum(len(one.token_ids) for one in rows)
    assert len(align(rows, PAD, sequential=False).passes) == 1


def test_pause_needs_no_recurrence() -> None:
    rows, model = block(2), make_model("llama")
    batch = align(rows, PAD, sequential=False)
    trace = segmented_forward(model, batch, None)
    for found, one in zip(rows_of(batch, trace.last, rows), rows, strict=True):
        assert relative(found, naive_states(model, one, None)) < 1e-9


def test_fusion_with_alpha_one_is_the_hidden_state() -> None:
    rows, model = interleaved(1), make_model("qwen3")
    batch = align(rows, PAD)
    fusion = Fill(FillSettings(kind="fusion", alpha=1.0), WIDTH, LATENT)
    assert torch.equal(
        segmented_forward(model, batch, fusion).last, segmented_forward(model, batch, make_fill("hidden")).last
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_fusion_with_alpha_zero_and_a_certain_prediction_is_that_tokens_embedding(family: str) -> None:
    model = make_model(family)
    fill = Fill(FillSettings(kind="fusion", alpha=0.0, top_p=0.01), WIDTH, LATENT)
    last = torch.randn(3, WIDTH, dtype=torch.float64)
    scores = model.lm_head(last)
    scores[:, LATENT] = -torch.inf
    expected = model.get_input_embeddings()(scores.argmax(-1))  # the module's output: Gemma3 scales there
    assert torch.allclose(fill.bind(model)(last, last), expected, atol=1e-12)


def test_the_latent_token_is_never_predicted() -> None:
    model, fill = make_model("llama"), make_fill("fusion")
    last = model.lm_head.weight[LATENT][None] * 5  # the latent token would be the likeliest by far
    assert int(model.lm_head(last).argmax()) == LATENT
    prediction = fill._prediction(model, last)
    assert prediction[0, LATENT].item() == 0.0
    assert prediction.sum().item() == pytest.approx(1.0)


def test_the_nucleus_keeps_or_drops_the_token_that_crosses() -> None:
    p = torch.tensor([[0.5, 0.3, 0.15, 0.05]])
    assert nucleus(p, 0.9, keep_crossing=True)[0].tolist() == pytest.approx([0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0])
    assert nucleus(p, 0.9, keep_crossing=False)[0].tolist() == pytest.approx([0.625, 0.375, 0, 0])
    assert nucleus(p, 0.1, keep_crossing=False)[0].tolist() == [1, 0, 0, 0]


def test_label_probabilities_are_those_of_a_plain_forward() -> None:
    model = make_model("smollm3")
    rows = [sequence("a", [5, 6, 7], [8, 9, 10]), sequence("b", [11], [12, 13, 14, 15])]
    found = label_probabilities(model, rows, None, PAD, batch_size=1)
    for one, values in zip(rows, found, strict=True):
        p = model(torch.tensor([one.token_ids])).logits[0].softmax(-1)
        expected = [float(p[t - 1, one.token_ids[t]]) for t in range(one.prompt_length, len(one.token_ids))]
        assert values == pytest.approx(expected, rel=1e-5)
    assert label_probabilities(model, rows, None, PAD, batch_size=2) == [pytest.approx(v) for v in found]


def test_a_latent_before_any_text_is_refused() -> None:
    with pytest.raises(UserError, match="a latent before any text"):
        sequence("x", [], [LATENT, 5], latent_id=LATENT)


def test_more_positions_than_the_context_holds_are_refused() -> None:
    long = sequence("x", [5] * 60, [6] * 10)
    with pytest.raises(UserError, match="70 positions exceeds its context of 64"):
        segmented_forward(make_model("llama"), align([long], PAD), None)


def test_latents_without_a_fill_are_refused() -> None:
    with pytest.raises(UserError, match="no fill"):
        segmented_forward(make_model("llama"), align(block(2), PAD), None)
