"""Gradient checkpointing changes no value and no gradient, and keeps the inputs of layers only."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.families import FAMILIES, LATENT, make_model
from tests.rows import FILLS, LAYOUTS, block, interleaved, make_fill
from thoughtscope.errors import UserError
from thoughtscope.latents.fill import Fill
from thoughtscope.latents.fills.hidden import Settings as Hidden
from thoughtscope.latents.fills.pause import Settings as Pause
from thoughtscope.latents.forward import forward
from thoughtscope.latents.layout import labelled_tokens
from thoughtscope.latents.packing import pack
from thoughtscope.latents.scoring import loss_sum
from thoughtscope.methods.minibatch import Counts, MicroBatch
from thoughtscope.training.hyperparameters import Lora
from thoughtscope.training.network import Network, freeze


def gradients(model: Any, fill: Fill, layout: str, recompute: bool) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of a batch and the gradient of every trained parameter."""
    network = Network(model, {"fill": fill.parameters} if fill.parameters else {}, recompute=recompute)
    network.zero_grad()
    torch.manual_seed(0)  # of dropout
    sequences = LAYOUTS[layout](7)
    counts = Counts(len(sequences), labelled_tokens(sequences), {}, {})
    loss = network(MicroBatch([], pack(sequences, fill.settings, for_labels=True), counts), fill)
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


def assert_unchanged(model: Any, fill: Fill, layout: str) -> None:
    loss, expected = gradients(model, fill, layout, recompute=False)
    expected = {name: value.clone() for name, value in expected.items()}
    again, found = gradients(model, fill, layout, recompute=True)
    assert float((again - loss).abs() / loss) < 1e-9
    assert found.keys() == expected.keys()
    largest = max(float(value.abs().max()) for value in expected.values())
    assert largest > 0
    for name, value in expected.items():
        assert float((found[name] - value).abs().max()) / largest < 1e-9, name


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", [*FILLS, "sweeps", "pause"])
def test_values_and_gradients_of_every_fill_stay_the_same(name: str, layout: str) -> None:
    others = {"sweeps": Hidden(kind="hidden", sweeps=2), "pause": Pause(kind="pause")}
    fill = Fill(others[name], LATENT) if name in others else make_fill(name)
    assert_unchanged(make_model("qwen3").train(), fill, layout)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("family", FAMILIES)
def test_values_and_gradients_of_every_family_stay_the_same(family: str, attention: str) -> None:
    assert_unchanged(
        make_model(family, attention=attention).train(), make_fill("fusion of a middle layer"), "interleaved"
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FILLS)
def test_values_and_gradients_of_frozen_models_stay_the_same(name: str, layout: str) -> None:
    peft = freeze(make_model("llama"), Lora(rank=4, dropout=0.25), [LATENT], 0)  # dropout draws the same numbers again
    model = peft.get_base_model().double().train()
    for parameter in (p for p in model.parameters() if p.requires_grad):
        torch.nn.init.normal_(parameter, std=0.1)
    assert_unchanged(model, make_fill(name), layout)


def test_a_layer_that_computes_a_pass_again_stores_nothing_twice() -> None:
    model, batch = make_model("llama").train(), pack(interleaved(3), Hidden(kind="hidden"), for_labels=True)
    output = forward(model, batch, make_fill("hidden"), recompute=True)
    loss_sum(model, output, batch).backward()
    assert {len(pieces) for pieces in output.cache.keys.values()} == {len(batch.passes)}
    assert output.cache.get_seq_length() == len(batch.token_ids)


def test_less_is_kept_for_the_backward_pass() -> None:
    kept: dict[bool, int] = {}
    model, batch = make_model("llama").train(), pack(block(2, rows=8), Hidden(kind="hidden"), for_labels=True)
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    for recompute in (False, True):
        held: dict[int, int] = {}

        def keep(value: Tensor, held: dict[int, int] = held) -> Tensor:
            storage = value.untyped_storage()
            held[storage.data_ptr()] = 0 if storage.data_ptr() in own else storage.nbytes()
            return value

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            output = forward(model, batch, make_fill("hidden"), recompute=recompute)
        caches = [*output.cache.keys.values(), *output.cache.values.values()]
        held |= {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for all in caches for one in all}
        kept[recompute] = sum(held.values())
    assert kept[True] < 0.4 * kept[False]


def test_a_model_without_such_layers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = make_model("llama"), pack(block(1), Hidden(kind="hidden"))
    layers = [torch.nn.Identity() for _ in model.model.layers]
    monkeypatch.setattr(model.model, "layers", torch.nn.ModuleList(layers))
    with pytest.raises(UserError, match="no layers that can be computed again"):
        forward(model, batch, make_fill("hidden"), recompute=True)
