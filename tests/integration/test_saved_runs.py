"""What a run saves has the loss that it had in memory, and another run can go on from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.unit.test_saved_backbones import loss
from thoughtscope import schemas
from thoughtscope.artifacts import artifact_folder, write_json
from thoughtscope.backbones.load import MODEL, load_backbone
from thoughtscope.backbones.make import make_tiny
from thoughtscope.backbones.prompt import prompt_ids, response_ids
from thoughtscope.backbones.settings import Pretraining
from thoughtscope.latents.forward import forward
from thoughtscope.latents.layout import labelled_tokens, sequence
from thoughtscope.latents.packing import pack
from thoughtscope.latents.scoring import loss_sum
from thoughtscope.reasoner import load_reasoner
from thoughtscope.run_id import RunId
from thoughtscope.tasks.prepare import PRETRAINING, write_task

from .world import World

pytestmark = pytest.mark.slow
QWEN = "qwen2.5"  # AutoTokenizer would build another tokenizer for it than its folder describes


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(tmp_path_factory.mktemp("world"))
    study = made.study(RunId("chain", QWEN, "coconut", "full", 0), {})
    with artifact_folder(made.folder / "task", {}) as target:
        write_task("chain", study.task("chain"), target)
    with artifact_folder(made.folder / "backbone", {}) as target:
        learned = Pretraining(tasks=["chain"], updates=60, batch_size=32)
        (target / MODEL).mkdir()
        made_of = make_tiny(study.backbone(QWEN), learned, 0, [made.folder / "task"], target / MODEL, "test")
        write_json(target / "pretraining.json", made_of)
    return made


@torch.no_grad()
def test_a_tiny_backbone_is_loaded_with_what_it_learned(world: World) -> None:
    curve = json.loads((world.folder / "backbone/pretraining.json").read_text())["losses"]
    model, tokenizer = load_backbone(world.folder / "backbone" / MODEL)
    texts = []
    for row in schemas.read(world.folder / "task" / PRETRAINING, schemas.PRETRAINING).to_pylist()[:200]:
        response = [*response_ids(tokenizer, row["response"]), tokenizer.eos_token_id]
        texts.append(sequence("x", prompt_ids(tokenizer, row["question"], True, {}), response))
    batch = pack(texts, None, for_labels=True)
    found = float(loss_sum(model, forward(model, batch, None), batch)) / labelled_tokens(texts)
    assert found == pytest.approx(curve[-1]["loss"], rel=0.3)
    assert found < curve[0]["loss"] / 8


@pytest.mark.parametrize("trainable", ["full", "lora"])
def test_a_run_saves_what_it_has_in_memory_and_another_goes_on_from_it(
    world: World, trainable: str, tmp_path: Path
) -> None:
    run = world.here(trainable, RunId("chain", QWEN, "coconut", trainable, 0))
    chain = [example.response for example in run.splits.train[:8]]
    assert max(map(max, chain)) < 275, "the tokens that the backbone was pre-trained with"
    run.execute()
    run.save_model(tmp_path / "model")
    run.engine.network.eval()
    assert loss(load_reasoner(tmp_path / "model")) == pytest.approx(loss(run.curriculum.reasoner), rel=1e-5)

    backbone = world.folder / "backbone" / MODEL
    backbone.rename(world.folder / "kept")
    backbone.symlink_to(tmp_path / "model")
    try:
        again = world.here(f"{trainable}-again", RunId("chain", QWEN, "coconut", trainable, 0))
    finally:
        backbone.unlink()
        (world.folder / "kept").rename(backbone)
    assert again.parts.new_rows == []
    again.progress.stage = 1
    again.begin_stage()
    ids = list(again.curriculum.reasoner.ids.ids.values())
    learned = load_reasoner(tmp_path / "model").model.get_input_embeddings().weight[ids]
    assert torch.equal(again.curriculum.reasoner.model.get_input_embeddings().weight[ids], learned), (
        "also as latents begin"
    )
