"""A backbone, or a trained model, that was saved and loaded again has the loss that it had in memory."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.unit.test_backbones import CHAIN, TEXTS
from thoughtscope.backbones.build import build_tiny
from thoughtscope.backbones.load import load_backbone
from thoughtscope.backbones.settings import Settings
from thoughtscope.backbones.tokenizer import train_tokenizer
from thoughtscope.latents.packing import pack
from thoughtscope.methods.minibatch import Counts, Learner, MicroBatch, Row, cross_entropy
from thoughtscope.reasoner import Prompting, Reasoner, encode, fill_modules, load_reasoner, read_method
from thoughtscope.training.hyperparameters import Lora
from thoughtscope.training.network import Network, add_tokens, freeze

ROOT = Path(__file__).parents[2]
TINY = {
    file.stem: raw
    for file in sorted((ROOT / "config/backbones").glob("*.yaml"))
    if (raw := yaml.safe_load(file.read_text()))["source"] == "tiny"
}
ROWS = list(CHAIN.examples())[:8]
COCONUT = {"kind": "step-removal", "label": "c", "fill": {"kind": "hidden"}, "latents_per_step": 2}


def build(name: str, tied: bool, tokenizer: Any) -> Any:
    raw = TINY[name]
    config = {**raw["config"], "tie_word_embeddings": tied}
    return build_tiny(Settings.model_validate({**raw, "config": config}), tokenizer, 0)


def tokenizer() -> Any:
    return train_tokenizer(f"{row['question']} {row['response']}" for row in TEXTS)


def micro_batch(reasoner: Reasoner) -> MicroBatch:
    """Return examples as the reasoner's own tokenizer encodes them, in its stage."""
    examples = [encode(reasoner.tokenizer, reasoner.prompting, row) for row in ROWS]
    made = [Row(one, reasoner.layout(one, random.Random(0), None)) for one in examples]
    fill = reasoner.fill.settings if reasoner.fill else None
    return MicroBatch(made, pack([row.sequence for row in made], fill, for_labels=True), Counts.of(made))


@torch.no_grad()
def loss(reasoner: Reasoner) -> float:
    return float(cross_entropy(Learner(reasoner.model, reasoner.fill), micro_batch(reasoner)))


def reasoner_of(model: Any, tokenizer: Any, raw: dict[str, Any]) -> Reasoner:
    method = read_method(raw, "method m")
    stage = method.stages(3)[-1]
    fills = fill_modules([stage], model.config.get_text_config().hidden_size)
    return Reasoner(model, tokenizer, method, stage, fills, Prompting(), 3)


@pytest.mark.parametrize("tied", [False, True], ids=["own-head", "tied"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", TINY)
def test_a_saved_backbone_has_the_loss_it_had_in_memory(name: str, dtype: str, tied: bool, tmp_path: Path) -> None:
    own = tokenizer()
    model = build(name, tied, own).eval()
    for value in model.parameters():  # not the buffers: rotary frequencies stay float32, in training and when loaded
        value.data = value.data.to(getattr(torch, dtype))
    text = {"kind": "step-removal", "label": "t", "last_stage": 0}
    before = loss(reasoner_of(model, own, text))
    model.save_pretrained(tmp_path)
    own.save_pretrained(tmp_path)
    again, loaded = load_backbone(tmp_path, dtype=dtype)
    assert loss(reasoner_of(again, loaded, text)) == before
    assert (again.get_input_embeddings().weight is again.get_output_embeddings().weight) == tied
    assert len(loaded) == len(own) == again.get_input_embeddings().weight.shape[0]


TRAINED = [  # of each family one with a head of its own and a tied one, trained in the two ways
    (name, trainable, (i + j) % 2 == 0)
    for i, name in enumerate(one for one in TINY if "-" not in one)
    for j, trainable in enumerate(("full", "lora"))
]


@pytest.mark.parametrize(("name", "trainable", "tied"), TRAINED)
def test_a_trained_model_has_the_loss_it_had_before_its_adapter_was_merged_and_saved(
    name: str, trainable: str, tied: bool, tmp_path: Path
) -> None:
    own = tokenizer()
    model = build(name, tied, own).eval()
    token_ids, _ = add_tokens(model, own, read_method(COCONUT, "method m").tokens, {})
    adapter = Lora(rank=4, alpha=8)
    peft = freeze(model, adapter, token_ids, 0) if trainable == "lora" else None
    model = peft.get_base_model() if peft else model
    reasoner = reasoner_of(model, own, COCONUT)
    untrained = loss(reasoner)
    network = Network(model, reasoner.fill_modules)
    optimizer = torch.optim.AdamW([value for value in network.parameters() if value.requires_grad], lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        network(micro_batch(reasoner), reasoner.fill).backward()
        optimizer.step()
    network.eval()
    before = loss(reasoner)
    assert abs(before - untrained) > 0.01 * untrained
    if peft:
        reasoner = replace(reasoner, model=peft.merge_and_unload())
    reasoner.save(tmp_path)
    for dtype, tolerance in (("float32", 1e-5), ("bfloat16", 0.03)):
        assert loss(load_reasoner(tmp_path, dtype=dtype)) == pytest.approx(before, rel=tolerance)
