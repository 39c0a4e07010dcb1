"""Stored states are what the model computes, whatever the batches."""

import json

import numpy as np
import pytest
import torch

from thoughtscope import tables
from thoughtscope.backbones.build import build_tiny
from thoughtscope.backbones.load import load_model, load_tokenizer
from thoughtscope.backbones.prompt import prompt_ids, response_ids
from thoughtscope.backbones.settings import Settings
from thoughtscope.backbones.tokenizer import train_tokenizer
from thoughtscope.errors import UserError
from thoughtscope.hidden_states.extract import (
    LatentsSettings,
    StatementsSettings,
    extract_latents,
    extract_statements,
)
from thoughtscope.hidden_states.read import describe_states, read_vectors
from thoughtscope.hidden_states.settings import HiddenStates
from thoughtscope.hidden_states.write import GENERATIONS, SURPRISALS, Position, StateWriter, storage_type
from thoughtscope.reasoner import Method, Prompting, Reasoner
from thoughtscope.training.network import add_tokens

CONFIG = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 128, "tie_word_embeddings": False,
}  # fmt: skip
BACKBONE = Settings(source="tiny", label="t", model_type="qwen3", config=CONFIG)
STATEMENTS = [
    {"example_id": f"e{i}", "question": "Who is it?", "response": response}
    for i, response in enumerate(["a judge.", "", "a judge from Peru, I think.", "a poet.", "a cat from Peru."])
]
QUESTIONS = [
    {"example_id": f"q{i}", "split": split, "question": f"{i} + 1 =", "steps": ["1", "2"], "answer": "2"}
    for i, split in enumerate(["test", "train", "test", "test", "test"])
]  # fmt: skip


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backbone")
    texts = [f"{row['question']} {row['response']}" for row in STATEMENTS] + ["0 1 2 3 4 + = ; #### 5"]
    tokenizer = train_tokenizer(texts)
    build_tiny(BACKBONE, tokenizer, seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def run(backbone, tmp_path_factory):
    """An untrained Coconut run in its last stage (two latents), with one earlier checkpoint."""
    folder = tmp_path_factory.mktemp("run")
    raw = {"kind": "step-removal", "label": "c", "fill": {"kind": "hidden"}, "latents_per_step": 2}
    method = Method.parse("coconut", raw)
    model, tokenizer = load_model(backbone), load_tokenizer(backbone)
    add_tokens(model, tokenizer, method.tokens, {})
    silent = tokenizer.convert_tokens_to_ids([tokenizer.eos_token, *method.tokens])
    with torch.no_grad():  # an untrained model should write text: no end, no markers
        model.get_output_embeddings().weight[torch.tensor(silent)] = 0
    stages = method.stages(2)
    for name, stage in (("checkpoints/step000007", stages[1]), ("model", stages[2])):
        Reasoner(model, tokenizer, method, stage, None, Prompting(), 2).save(folder / name)
    (folder / "schedule.json").write_text(json.dumps({"updates": 20}))
    return folder


def statements(backbone, folder, batch_size):
    folder.mkdir()
    settings = StatementsSettings(run="r", states=HiddenStates(batch_size=batch_size))
    extract_statements(settings, backbone, STATEMENTS, folder)
    return folder


def latents(run, folder, batch_size, **states):
    folder.mkdir()
    decoding = {"max_new_tokens": 4}
    settings = LatentsSettings(run="r", states=HiddenStates(batch_size=batch_size, **states), decoding=decoding)
    extract_latents(settings, run, QUESTIONS, folder)
    return folder


def test_streamed_parts_equal_one_batch(backbone, tmp_path):
    parts, whole = statements(backbone, tmp_path / "parts", 2), statements(backbone, tmp_path / "whole", 99)
    for layer in (0, 1, 2):
        (a, left), (b, right) = (read_vectors(folder, "output", layer) for folder in (parts, whole))
        assert left["example_id"].tolist() == right["example_id"].tolist()
        assert left["position"].tolist() == right["position"].tolist()
        assert np.abs(a - b).max() < 1e-5 * np.abs(b).max()


def test_statement_states_and_surprisals_equal_a_plain_forward(backbone, tmp_path):
    folder = statements(backbone, tmp_path / "states", 4)
    model, tokenizer = load_model(backbone), load_tokenizer(backbone)
    surprisals = tables.read(folder / SURPRISALS, tables.SURPRISALS).to_pandas()
    for row in STATEMENTS:
        prompt = prompt_ids(tokenizer, row["question"], True, {})
        ids = prompt + (response_ids(tokenizer, row["response"]) if row["response"] else [])
        start = len(prompt) if row["response"] else 0
        with torch.no_grad():
            out = model(torch.tensor([ids]), output_hidden_states=True)
        for layer in range(3):
            vectors, frame = read_vectors(folder, "output", layer)
            own = (frame["example_id"] == row["example_id"]).to_numpy()
            expected = out.hidden_states[layer][0, start:].numpy()
            assert frame.loc[own, "token_id"].tolist() == ids[start:]
            assert np.abs(vectors[own] - expected).max() < 1e-5 * np.abs(expected).max()
        losses = -out.logits[0].log_softmax(-1)[range(len(ids) - 1), ids[1:]].numpy()
        own = surprisals[surprisals["example_id"] == row["example_id"]].sort_values("position")
        assert own["surprisal"].to_numpy() == pytest.approx(losses[max(start, 1) - 1 :], rel=1e-4)


def test_the_vector_fed_at_a_latent_is_the_state_before_it(run, tmp_path):
    folder = latents(run, tmp_path / "states", 2)
    fed, at = read_vectors(folder, "input", checkpoint=20)
    made, where = read_vectors(folder, "output", checkpoint=20)
    state = {(row.example_id, row.position): made[i] for i, row in enumerate(where.itertuples())}
    later = [i for i, row in enumerate(at.itertuples()) if row.latent_index > 1]
    assert len(later) == 4 * 3
    for i in later:
        row = at.iloc[i]
        assert np.abs(fed[i] - state[row["example_id"], row["position"] - 1]).max() < 1e-5


def test_latents_of_each_checkpoint_and_text_of_the_last(run, tmp_path):
    folder = latents(run, tmp_path / "states", 3)
    frame = read_vectors(folder, "output")[1]
    counts = frame[frame["latent_index"].notna()].groupby("checkpoint_step").size()
    assert counts.to_dict() == {7: 4 * 2, 20: 4 * 4}
    assert set(frame.loc[frame["latent_index"].isna(), "checkpoint_step"]) == {20}
    assert set(read_vectors(folder, "input")[1]["latent_index"]) == {1, 2, 3, 4}
    facts = describe_states(folder)
    assert (facts["checkpoints"], facts["layers"], facts["final_norm_layer"]) == ([7, 20], [2], 2)
    weights = load_model(run / "model").get_input_embeddings().weight
    assert facts["embedding_norm"] == pytest.approx(weights.norm(dim=1).mean().item(), rel=1e-5)
    answers = tables.read(folder / GENERATIONS, tables.PREDICTIONS).to_pandas()
    assert answers.groupby("step")["latents"].first().to_dict() == {7: 2, 20: 4}


def test_the_batch_changes_no_latent(run, tmp_path):
    one, all_ = (latents(run, tmp_path / str(size), size, layers="all") for size in (1, 9))
    for kind, layer in (("input", None), ("output", 1)):
        (a, left), (b, right) = (read_vectors(folder, kind, layer, latent_index=2) for folder in (one, all_))
        assert left["position"].tolist() == right["position"].tolist()
        assert np.abs(a - b).max() < 1e-4


def test_a_layer_that_is_not_there_is_named(run, tmp_path):
    with pytest.raises(UserError, match="no layer 5"):
        latents(run, tmp_path / "states", 2, layers=[5])


def test_bf16_states_are_stored_as_float32_and_overflow_is_refused(tmp_path):
    assert storage_type("float16", "bfloat16") == "float32"
    assert storage_type("float16", "float32") == "float16"
    with StateWriter(tmp_path, "r", 2, "float16") as writer, pytest.raises(UserError, match="float16"):
        writer.append("output", 0, 0, [Position("e", 0, None, 1, "a")], np.array([[1e6, 0.0]]))


def test_float16_halves_are_read_back(tmp_path):
    with StateWriter(tmp_path, "r", 2, "float16") as writer:
        writer.append("output", 0, 0, [Position("e", 0, None, 1, "a")], np.array([[0.5, -2.0]]))
    assert read_vectors(tmp_path, "output", 0)[0].tolist() == [[0.5, -2.0]]
