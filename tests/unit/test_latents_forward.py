"""The segmented, cached, batched forward is the same function as recomputing every row alone from its start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoConfig

from tests.families import FAMILIES, LATENT, WIDTH, make_model
from tests.rows import FILLS, HIDDEN, LAYOUTS, block, interleaved, make_fill
from thoughtscope.errors import UserError
from thoughtscope.latents.attention import attention_windows
from thoughtscope.latents.fill import Fill
from thoughtscope.latents.fills.fusion import Settings as Fusion
from thoughtscope.latents.fills.fusion import predict
from thoughtscope.latents.fills.hidden import Settings as Hidden
from thoughtscope.latents.forward import forward
from thoughtscope.latents.head import nucleus
from thoughtscope.latents.layout import IGNORE, TokenSequence, sequence
from thoughtscope.latents.packing import Batch, pack
from thoughtscope.latents.scoring import label_probabilities, loss_sum


def naive_states(model: Any, one: TokenSequence, fill: Fill | None) -> Tensor:
    """Return the last hidden states ``[time, d]`` of one row, its prefix recomputed whole before every latent."""
    vector = fill.feed(model) if fill else None
    fed = model.get_input_embeddings()(torch.tensor([one.token_ids]))
    for t, latent in enumerate(one.is_latent):
        if latent and fill and vector and fill.settings.sequential:
            out = model.get_decoder()(inputs_embeds=fed[:, :t], use_cache=False, output_hidden_states=True)
            layer = fill.settings.layer
            states = out.last_hidden_state if layer is None else out.hidden_states[layer]
            made = vector(out.last_hidden_state[:, -1], states[:, -1])
            fed = torch.cat([fed[:, :t], made[:, None], fed[:, t + 1 :]], dim=1)
    return model.get_decoder()(inputs_embeds=fed, use_cache=False).last_hidden_state[0]  # type: ignore[no-any-return]


def naive_loss(model: Any, rows: list[TokenSequence], fill: Fill | None) -> Tensor:
    """Return the published loss, written out: shifted cross-entropy, summed over labels, one row after another."""
    total = torch.zeros((), dtype=torch.float64)
    for one in rows:
        scores = model.lm_head(naive_states(model, one, fill))[:-1]
        labels = torch.tensor(one.labels[1:])
        total = total + F.cross_entropy(scores, labels, ignore_index=IGNORE, reduction="sum")
    return total


def rows_of(batch: Batch, states: Tensor, rows: list[TokenSequence]) -> list[Tensor]:
    return [states[batch.index[r, : len(one.token_ids)]] for r, one in enumerate(rows)]


def relative(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).abs().max() / expected.abs().max().clamp(min=1e-30)).item()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FILLS)
@pytest.mark.parametrize("family", FAMILIES)
def test_values_and_gradients_equal_naive_recomputation(family: str, name: str, layout: str) -> None:
    rows, model, fill = LAYOUTS[layout](7), make_model(family), make_fill(name)
    batch = pack(rows, HIDDEN)
    output = forward(model, batch, fill)
    for found, one in zip(rows_of(batch, output.last, rows), rows, strict=True):
        assert relative(found, naive_states(model, one, fill)) < 1e-9
    loss, expected = loss_sum(model, output, batch), naive_loss(model, rows, fill)
    assert relative(loss, expected) < 1e-9
    parameters = [*model.parameters(), *(fill.parameters.parameters() if fill.parameters else [])]
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
    batch = pack(rows, HIDDEN)
    output = forward(model, batch, fill)
    for found, one in zip(rows_of(batch, output.last, rows), rows, strict=True):
        assert relative(found, naive_states(model, one, fill)) < 1e-5


def test_bfloat16_stays_within_its_own_rounding() -> None:
    rows, model, fill = interleaved(3), make_model("qwen3"), make_fill("hidden")
    batch = pack(rows, HIDDEN)
    exact = forward(model, batch, fill).last
    rough = forward(make_model("qwen3", torch.bfloat16), batch, fill).last
    assert relative(rough.double(), exact) < 0.08  # 2**-8 a rounding, a few dozen roundings deep


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_both_attention_implementations_give_the_same(attention: str) -> None:
    rows, fill = interleaved(5), make_fill("hidden")
    model = make_model("gemma3_text", attention=attention)
    output = forward(model, pack(rows, HIDDEN), fill)
    assert relative(rows_of(pack(rows, HIDDEN), output.last, rows)[0], naive_states(model, rows[0], fill)) < 1e-9


@pytest.mark.parametrize("family", FAMILIES)
def test_other_rows_change_nothing(family: str) -> None:
    rows, model, fill = interleaved(11), make_model(family), make_fill("fusion")
    together = pack(rows, HIDDEN)
    found = rows_of(together, forward(model, together, fill).last, rows)
    for r, one in enumerate(rows):
        alone = pack([one], HIDDEN, passes=len(together.passes) + 1)
        states = forward(model, alone, fill).last
        assert relative(found[r], rows_of(alone, states, [one])[0]) < 1e-9


@pytest.mark.parametrize("seed", range(10))
def test_a_batch_needs_one_pass_and_one_more_for_each_latent_of_its_longest_row(seed: int) -> None:
    rows = interleaved(seed)
    batch = pack(rows, HIDDEN)
    assert len(batch.passes) == 1 + max(one.latents for one in rows)
    assert batch.real_tokens == sum(len(one.token_ids) for one in rows)
    assert len(pack(rows, None).passes) == 1


def test_pause_needs_no_recurrence() -> None:
    rows, model = block(2), make_model("llama")
    batch = pack(rows, None)
    output = forward(model, batch, None)
    for found, one in zip(rows_of(batch, output.last, rows), rows, strict=True):
        assert relative(found, naive_states(model, one, None)) < 1e-9


def test_fusion_with_alpha_one_is_the_hidden_state() -> None:
    rows, model = interleaved(1), make_model("qwen3")
    batch = pack(rows, HIDDEN)
    fusion = Fill(Fusion(kind="fusion", alpha=1.0), LATENT)
    assert torch.equal(forward(model, batch, fusion).last, forward(model, batch, make_fill("hidden")).last)


@pytest.mark.parametrize("family", FAMILIES)
def test_fusion_with_alpha_zero_and_a_certain_prediction_is_that_tokens_embedding(family: str) -> None:
    model = make_model(family)
    fill = Fill(Fusion(kind="fusion", alpha=0.0, top_p=0.01), LATENT)
    last = torch.randn(3, WIDTH, dtype=torch.float64)
    scores = model.lm_head(last)
    scores[:, LATENT] = -torch.inf
    expected = model.get_input_embeddings()(scores.argmax(-1))  # the module's output: Gemma3 scales there
    assert torch.allclose(fill.feed(model)(last, last), expected, atol=1e-12)


def test_the_latent_token_is_never_predicted() -> None:
    model = make_model("llama")
    last = model.lm_head.weight[LATENT][None] * 5  # the latent token would be the likeliest by far
    assert int(model.lm_head(last).argmax()) == LATENT
    prediction = predict(model, last, LATENT)
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
    found = label_probabilities(model, rows, None, batch_size=1)
    for one, values in zip(rows, found, strict=True):
        p = model(torch.tensor([one.token_ids])).logits[0].softmax(-1)
        expected = [float(p[t - 1, one.token_ids[t]]) for t in range(one.prompt_length, len(one.token_ids))]
        assert values == pytest.approx(expected, rel=1e-5)
    assert label_probabilities(model, rows, None, batch_size=2) == [pytest.approx(v) for v in found]


def test_a_latent_before_any_text_is_refused() -> None:
    with pytest.raises(UserError, match="a latent before any text"):
        sequence("x", [], [LATENT, 5], is_latent=[True, False])


def test_more_positions_than_the_context_holds_are_refused() -> None:
    long = sequence("x", [5] * 60, [6] * 10)
    with pytest.raises(UserError, match="70 positions exceeds its context of 64"):
        forward(make_model("llama"), pack([long], None), None)


def test_a_layer_that_the_model_does_not_have_is_refused() -> None:
    fill = Fill(Hidden(kind="hidden", layer=5), LATENT)
    with pytest.raises(UserError, match="it has no layer 5; name layers from 0 to 4"):
        forward(make_model("llama"), pack(block(2), HIDDEN), fill)


def test_latents_without_a_fill_are_refused() -> None:
    with pytest.raises(UserError, match="no fill"):
        forward(make_model("llama"), pack(block(2), HIDDEN), None)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_positions_that_no_label_needs_are_left_out_without_changing_the_loss(layout: str) -> None:
    rows, model, fill = LAYOUTS[layout](4), make_model("qwen3"), make_fill("hidden")
    rows = [
        replace(one, labels=(*one.labels[:-1], IGNORE))
        for one in rows
        if one.latents and len(one.token_ids) - one.prompt_length - one.latents > 2
    ]
    whole, needed = pack(rows, HIDDEN), pack(rows, HIDDEN, for_labels=True)
    assert len(needed.token_ids) <= len(whole.token_ids) - 2 * len(rows)
    losses = [loss_sum(model, forward(model, batch, fill), batch) for batch in (whole, needed)]
    assert relative(losses[1], losses[0]) < 1e-12


def test_no_token_is_computed_twice_or_for_nobody() -> None:
    rows = interleaved(3, rows=9)
    batch = pack(rows, HIDDEN)
    assert len(batch.token_ids) == batch.real_tokens == sum(len(one.token_ids) for one in rows)
    assert sorted(batch.index[batch.index >= 0].tolist()) == list(range(batch.real_tokens))


def naive_sweeps(model: Any, one: TokenSequence, sweeps: int) -> Tensor:
    """Jacobi by definition: every sweep feeds all latents what the sweep before left on their left."""
    inputs = model.get_input_embeddings()(torch.tensor(one.token_ids))
    latents = [t for t, flag in enumerate(one.is_latent) if flag]
    states = model.get_decoder()(inputs_embeds=inputs[None]).last_hidden_state[0]
    for _ in range(sweeps):
        fed = [states[t - 1] if t in latents else vector for t, vector in enumerate(inputs)]
        states = model.get_decoder()(inputs_embeds=torch.stack(fed)[None]).last_hidden_state[0]
    return states  # type: ignore[no-any-return]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("sweeps", [1, 2, 3])
def test_jacobi_sweeps_are_those_of_their_definition(layout: str, sweeps: int) -> None:
    rows, model = LAYOUTS[layout](7), make_model("gemma3_text")
    fill = Fill(Hidden(kind="hidden", sweeps=sweeps), LATENT)
    batch = pack(rows, fill.settings)
    assert len(batch.passes) <= 1 + sweeps
    states = rows_of(batch, forward(model, batch, fill).last, rows)
    for found, one in zip(states, rows, strict=True):
        exact = one.latents <= sweeps
        expected = naive_states(model, one, make_fill("hidden")) if exact else naive_sweeps(model, one, sweeps)
        assert relative(found, expected) < 1e-9


def test_as_many_sweeps_as_latents_are_exact() -> None:
    rows, model = block(7), make_model("llama")
    fill = Fill(Hidden(kind="hidden", sweeps=max(one.latents for one in rows)), LATENT)
    one_by_one, swept = pack(rows, HIDDEN), pack(rows, fill.settings)
    losses = [loss_sum(model, forward(model, batch, fill), batch) for batch in (one_by_one, swept)]
    assert relative(losses[1], losses[0]) < 1e-12


def test_a_row_without_labels_is_refused() -> None:
    model, rows = make_model("llama"), [sequence("bare", [5, 6], [7], labelled=[False])]
    batch = pack(rows, None)
    with pytest.raises(UserError, match="sequence bare: it has no labelled token"):
        loss_sum(model, forward(model, batch, None), batch)


def test_a_layout_of_another_batch_is_refused() -> None:
    model, one, other = make_model("llama"), pack(block(1), None), pack(block(2), None)
    with pytest.raises(UserError, match="not the one that was computed"):
        loss_sum(model, forward(model, one, None), other)


def test_attention_that_takes_no_masks_is_refused() -> None:
    model = make_model("llama")
    model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(UserError, match="attention 'flash_attention_2' takes no masks; use sdpa or eager"):
        forward(model, pack(block(1), None), None)


def test_a_cache_that_is_not_of_keys_and_values_is_refused() -> None:
    config = AutoConfig.for_model("qwen3_next", num_hidden_layers=4)
    with pytest.raises(UserError, match="layers of kind 'linear_attention' keep more than keys and values"):
        attention_windows(config)


def test_the_models_own_attention_is_restored() -> None:
    model, ids = make_model("mistral"), torch.tensor([[5, 6, 7, 8, 9, 10]])
    before = model(ids).logits
    forward(model, pack(block(1), HIDDEN), make_fill("hidden"))
    assert torch.equal(model(ids).logits, before)
