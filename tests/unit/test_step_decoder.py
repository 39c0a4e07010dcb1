"""SIM-CoT's loss and gradients written out slowly, and what its decoder reads after training."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.families import LATENT, WIDTH, make_model
from tests.unit.test_self_distillation import IDS, START, examples, states_of
from thoughtscope.latents.fill import Fill
from thoughtscope.latents.layout import IGNORE
from thoughtscope.latents.packing import pack
from thoughtscope.methods import self_distillation, step_removal
from thoughtscope.methods.curriculum import Example, Stage
from thoughtscope.methods.minibatch import Counts, Learner, MicroBatch, Row
from thoughtscope.methods.step_decoder import STEPS, DecodedSteps, Groups

COCONUT: dict[str, Any] = {
    "kind": "step-removal", "fill": {"kind": "hidden"}, "latents_per_step": 2, "step_decoder": {"weight": 0.7},
}  # fmt: skip
CODI: dict[str, Any] = {
    "kind": "self-distillation", "fill": {"kind": "hidden", "projector": {"inner": 16}}, "latents": 2,
    "step_decoder": {"weight": 0.7, "per": "token"},
}  # fmt: skip


def method_of(raw: dict[str, Any]) -> DecodedSteps:
    kind = step_removal if raw["kind"] == "step-removal" else self_distillation
    return kind.Settings.model_validate(raw)  # type: ignore[no-any-return]


def setting(raw: dict[str, Any], stage: int, found: list[Example]) -> tuple[DecodedSteps, Stage, Learner, MicroBatch]:
    method = method_of(raw)
    chosen = method.stages(3)[stage]
    model = make_model("llama")
    torch.manual_seed(1)
    parameters = chosen.fill.parameters(WIDTH) if chosen.fill else None
    fill = Fill(chosen.fill, LATENT, parameters.double() if parameters else None) if chosen.fill else None
    decoder = method.auxiliary(model)
    with torch.no_grad():
        for value in decoder.parameters():  # type: ignore[union-attr]
            value += 0.05 * torch.randn_like(value)
    rows = [
        Row(one, method.layout(chosen, one, IDS, random.Random(0), None), method.companions(chosen, one, IDS))
        for one in found
    ]
    batch = pack([row.sequence for row in rows], chosen.fill, for_labels=True)
    return method, chosen, Learner(model, fill, decoder), MicroBatch(rows, batch, Counts.of(rows))


def slow_reading(learner: Learner, one: Example, steps: list[list[int]], latents: int) -> list[Tensor]:
    """The cross-entropy of each token of each step: latents computed one by one, the decoder without a batch."""
    embed = learner.model.get_input_embeddings().weight
    project = learner.fill.parameters or (lambda state: state)  # type: ignore[union-attr]
    vectors, fed = [embed[token] for token in [*one.prompt, START]], []
    for _ in range(latents * len(steps)):
        fed.append(project(states_of(learner.model, vectors)[-1][-1]))
        vectors.append(fed[-1])
    losses = []
    for k, step in enumerate(steps):
        seen = [*fed[k * latents : (k + 1) * latents], *(embed[token] for token in step)]
        scores = learner.auxiliary.lm_head(states_of(learner.auxiliary, seen)[-1])
        for t, token in enumerate([*step, one.answer[-1]]):
            losses.append(-scores[latents - 1 + t].log_softmax(-1)[token])
    return losses


@pytest.mark.parametrize(("raw", "stage", "latents"), [(COCONUT, 2, 2), (COCONUT, 3, 2), (CODI, 0, 1)])
def test_loss_and_gradients_are_those_of_the_definition(raw: dict[str, Any], stage: int, latents: int) -> None:
    found = examples(seed=4, rows=4)
    assert len({len(one.steps) for one in found}) > 1, "short chains have no step for the last latents"
    method, _, learner, micro = setting(raw, stage, found)
    groups = {2: 2, 3: 3, 0: 2}[stage]
    reading, steps_seen = [], 0
    for one in found:
        steps = [list(step) for step in one.steps[:groups]]
        if raw is CODI and len(one.steps) > groups:
            steps[-1] += [token for step in one.steps[groups:] for token in step]
        reading += slow_reading(learner, one, steps, latents)
        steps_seen += len(steps)
    own = method.own_loss(learner, micro)[0]
    slow = own + 0.7 * torch.stack(reading).sum() / (len(reading) if raw is CODI else steps_seen)
    ours = method.loss(learner, micro)
    assert ours.item() == pytest.approx(slow.item(), rel=1e-9)
    assert abs(ours.item() - own.item()) > 0.1
    parameters = [*learner.model.parameters(), *learner.auxiliary.parameters()]
    if learner.fill is not None and learner.fill.parameters is not None:
        parameters += learner.fill.parameters.parameters()
    mine, theirs = (torch.autograd.grad(loss, parameters, allow_unused=True) for loss in (ours, slow))
    for one, other in zip(mine, theirs, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert torch.allclose(one, other, rtol=1e-7, atol=1e-9 * float(other.abs().max()))


def test_gradients_of_the_reading_reach_the_model_through_the_latents() -> None:
    method, _, learner, micro = setting(COCONUT, 2, examples())
    both = method.loss(learner, micro) - method.own_loss(learner, micro)[0]
    layer = learner.model.model.layers[0].self_attn.q_proj.weight
    (gradient,) = torch.autograd.grad(both, [layer])
    assert float(gradient.abs().max()) > 0


def test_shares_of_micro_batches_add_up() -> None:
    found = examples(seed=4, rows=5)
    method, _, learner, whole = setting(COCONUT, 3, found)
    parts = [setting(COCONUT, 3, part)[3] for part in (found[:2], found[2:])]
    shares = [method.loss(learner, MicroBatch(one.rows, one.batch, whole.counts)) for one in parts]
    assert torch.stack(shares).sum().item() == pytest.approx(method.loss(learner, whole).item(), rel=1e-12)


def test_without_latents_there_is_nothing_to_read() -> None:
    method, stage, learner, micro = setting(COCONUT, 0, examples())
    assert all(row.companions == {} for row in micro.rows)
    assert method.loss(learner, micro).item() == method.own_loss(learner, micro)[0].item()
    assert method.readings(learner, stage, examples(), IDS) == []
    plain = method_of({**COCONUT, "step_decoder": None})
    assert plain.auxiliary(learner.model) is None


def test_each_step_follows_the_places_of_its_latents_and_the_last_group_may_take_the_rest() -> None:
    one = Example("e", [1], [[10], [11], [12], [13]], [14, 3], cue=1)
    method = method_of(COCONUT)
    found = method.companions(method.stages(4)[2], one, IDS)[STEPS]
    assert [step.token_ids for step in found] == [(LATENT, LATENT, 10, 3), (LATENT, LATENT, 11, 3)]
    assert [step.labels for step in found] == [(IGNORE, IGNORE, 10, 3), (IGNORE, IGNORE, 11, 3)]
    assert Groups(2, 1, rest=True).steps(one) == [[10], [11, 12, 13]]
    assert Groups(5, 1, rest=True).steps(one) == one.steps
    gsm8k = method_of({**COCONUT, "last_stage": 2, "remove_rest": True})
    last = gsm8k.companions(gsm8k.stages(4)[-1], one, IDS)[STEPS]
    assert last[-1].token_ids == (LATENT, LATENT, 11, 12, 13, 3)


def test_readings_are_what_the_decoder_writes_greedily() -> None:
    found = examples(seed=4, rows=3)
    method, stage, learner, _ = setting(COCONUT, 2, found)
    readings = method.readings(learner, stage, found, IDS)
    assert [(one.example.example_id, one.step_index) for one in readings] == [
        (str(i), k) for i in range(3) for k in (1, 2)
    ]
    embed = learner.model.get_input_embeddings().weight
    for one in readings:
        vectors, fed = [embed[token] for token in [*one.example.prompt, START]], []
        for _ in range(4):
            fed.append(states_of(learner.model, vectors)[-1][-1])
            vectors.append(fed[-1])
        seen, written = fed[2 * one.step_index - 2 : 2 * one.step_index], []
        for _ in range(32):
            token = int(learner.auxiliary.lm_head(states_of(learner.auxiliary, seen)[-1])[-1].argmax())
            if token == one.example.answer[-1]:
                break
            written.append(token)
            seen = [*seen, embed[token]]
        assert one.read == written
        steps = one.example.steps
        assert one.step == (steps[one.step_index - 1] if one.step_index <= len(steps) else [])


def test_the_decoder_is_a_copy_that_shares_nothing() -> None:
    model = make_model("llama", tied=True)
    decoder = method_of(COCONUT).auxiliary(model)
    assert decoder is not None
    assert {id(value) for value in decoder.parameters()}.isdisjoint(id(value) for value in model.parameters())
    assert len(list(decoder.parameters())) == len(list(model.parameters())), "tied tables stay tied"
    assert all(torch.equal(one, other) for one, other in zip(decoder.parameters(), model.parameters(), strict=True))


def test_a_decoder_needs_latents_and_a_fixed_number_of_them() -> None:
    raw = copy.deepcopy(COCONUT)
    for change in ({"mix_earlier": 0.1}, {"fill": None, "latents_per_step": 0}):
        with pytest.raises(ValueError, match="step_decoder needs latents, as many as the stage has"):
            method_of({**raw, **change})
