"""A method's tokens: new ones start as copies, those of an earlier run keep what they learned."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers.normalizers import Strip
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import AutoConfig, AutoModelForCausalLM

from tests.folders import make_folder
from tests.unit.test_backbones_published import ROWS, TEXTS, assembled, train
from tests.unit.test_saved_backbones import build, tokenizer
from thoughtscope.backbones.load import load_backbone
from thoughtscope.backbones.spellings import notes, spellings
from thoughtscope.errors import UserError
from thoughtscope.latents.generate import Generation
from thoughtscope.latents.layout import sequence
from thoughtscope.methods.confidence_insertion import LATENT as THINKING
from thoughtscope.methods.step_removal import END, LATENT, START
from thoughtscope.reasoner import load_reasoner
from thoughtscope.training.network import add_tokens

COCONUT = [START, LATENT, END]


def tables(model: Any) -> list[torch.Tensor]:
    return [model.get_input_embeddings().weight.data, model.get_output_embeddings().weight.data]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder("qwen3-8b", tmp_path_factory.mktemp("made") / "model", TEXTS)


@pytest.mark.parametrize("name", ["qwen3-8b", "qwen3-4b"], ids=["own-head", "tied"])
@pytest.mark.parametrize("trainable", ["full", "lora"])
def test_going_on_from_a_trained_run_keeps_its_learned_tokens(name: str, trainable: str, tmp_path: Path) -> None:
    parts = assembled(name, make_folder(name, tmp_path / "made", TEXTS), "coconut", trainable=trainable)
    assert [target for target, _ in parts.new_rows] == [parts.reasoner.ids[one] for one in COCONUT]
    train(parts)
    trained = parts.reasoner.at(parts.stages[-1])
    if parts.peft is not None:
        trained = replace(trained, model=parts.peft.merge_and_unload())
    trained.save(tmp_path / "saved")
    learned = [table.clone() for table in tables(load_reasoner(tmp_path / "saved").model)]
    eos = parts.reasoner.tokenizer.eos_token_id
    ids = [parts.reasoner.ids[one] for one in COCONUT]
    assert not any(torch.equal(learned[0][one], learned[0][eos]) for one in ids[:2])

    again = assembled(name, tmp_path / "saved", "coconut", trainable=trainable)
    assert again.new_rows == []
    for table, before in zip(tables(again.reasoner.model), learned, strict=True):
        assert torch.equal(table[ids], before[ids])
    if trainable == "lora":
        trained = {key for key, value in again.network.named_parameters() if value.requires_grad}
        assert any("token_adapter" in key or "trainable_tokens" in key for key in trained), "their rows still train"

    other = assembled(name, tmp_path / "saved", "lt-tuning", trainable=trainable)
    ((new, source),) = other.new_rows
    assert (new, source) == (other.reasoner.ids[THINKING], eos)
    for table, before in zip(tables(other.reasoner.model), learned, strict=True):
        assert torch.equal(table[new], before[eos])
        assert torch.equal(table[ids], before[ids])


@pytest.mark.parametrize("tied", [False, True], ids=["own-head", "tied"])
def test_new_tokens_on_padded_rows_are_initialised_and_the_table_does_not_grow(tied: bool) -> None:
    own, model = tokenizer(), build("qwen3", tied, tokenizer())
    model.resize_token_embeddings(len(own) + 7, mean_resizing=False)
    for table in tables(model):
        table[len(own) :] = 99.0
    token_ids, rows = add_tokens(model, own, COCONUT, {LATENT: " ;", START: "<|assistant|>"})
    assert token_ids == [target for target, _ in rows] == list(range(275, 278))
    sources = [own.convert_tokens_to_ids("<|assistant|>"), own.encode(" ;")[-1], own.eos_token_id]
    assert [source for _, source in rows] == sources
    for table in tables(model):
        assert len(table) == 282
        assert torch.equal(table[token_ids], table[sources])
        assert (table[278:] == 99.0).all()


def test_a_token_that_the_tokenizer_has_and_the_table_lacks_is_new() -> None:
    own, model = tokenizer(), build("qwen3", False, tokenizer())
    own.add_tokens(COCONUT, special_tokens=True)
    token_ids, rows = add_tokens(model, own, COCONUT, {})
    assert [target for target, _ in rows] == token_ids
    assert all(torch.equal(table[275], table[own.eos_token_id]) for table in tables(model))


def test_the_bias_of_an_output_head_is_copied_with_its_rows() -> None:
    own = tokenizer()
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("phi", vocab_size=len(own), **sizes))
    model.lm_head.bias.data = torch.arange(275, dtype=torch.float32)
    (latent,), _ = add_tokens(model, own, [LATENT], {})
    assert model.lm_head.bias[latent] == own.eos_token_id


def test_initial_rows_without_tokens_are_one_line() -> None:
    own, model = tokenizer(), build("qwen3", False, tokenizer())
    own.backend_tokenizer.normalizer = Strip()
    own.backend_tokenizer.pre_tokenizer = WhitespaceSplit()
    with pytest.raises(UserError, match=r"initial_rows.*' ' has no tokens"):
        add_tokens(model, own, [LATENT], {LATENT: " "})


def test_a_spelled_latent_in_the_data_is_no_latent_and_is_reported(made: Path) -> None:
    spelled = {"steps": [f"{THINKING} 3 * 2 = 6", "6 + 4 = 3 <|im_end|>"], "question": f"{THINKING} 3 * 2 + 4 ="}
    rows = [{**row, **spelled} if i in (0, 2) else row for i, row in enumerate(ROWS)]
    parts = assembled("qwen3-8b", made, "lt-tuning", rows=rows)
    reasoner = parts.reasoner
    example = reasoner.encode(rows[0])
    latent = reasoner.ids[THINKING]
    control = {latent, reasoner.tokenizer.convert_tokens_to_ids("<|im_end|>")}
    assert not control & set(example.response[:-1])
    assert latent not in example.prompt
    likely = [1.0] * len(example.response)
    laid = reasoner.layout(example, random.Random(0), likely)
    assert laid.latents == 0
    assert parts.spellings[THINKING] == {"rows": 2, "examples": [rows[0]["example_id"], rows[2]["example_id"]]}
    assert parts.spellings["<|im_end|>"]["rows"] == 2
    first = notes(parts.spellings)[0]
    assert first.startswith("note: 2 rows spell '<thinking>', a token of this model; it is read as text: chain-")
    assert spellings(reasoner.tokenizer, ROWS) == {}


def test_statements_and_many_rows_are_counted_once_each(made: Path) -> None:
    own = load_backbone(made)[1]
    rows = [{"example_id": f"s{i}", "question": "<|im_end|> <|im_end|>", "response": "<|im_end|>"} for i in range(9)]
    assert spellings(own, rows) == {"<|im_end|>": {"rows": 9, "examples": ["s0", "s1", "s2", "s3", "s4"]}}
    assert notes(spellings(own, rows))[0].endswith("s3, s4 ...")


def test_latents_are_where_the_layout_puts_them_whatever_the_ids_are() -> None:
    made = sequence("x", [5, 3], [3, 3, 6], is_latent=[True, False, False])
    assert made.is_latent == (False, False, True, False, False)


def test_a_response_shows_everything_but_the_tokens_of_the_method(made: Path) -> None:
    parts = assembled("qwen3-8b", made, "lt-tuning")
    reasoner, own = parts.reasoner, parts.reasoner.tokenizer
    prompt = sequence("x", [1], [])
    written = own.encode(" #### 5 , <think> .", add_special_tokens=False)
    ended = [reasoner.ids[THINKING], *written, own.convert_tokens_to_ids("<|im_start|>")]
    assert reasoner.text(Generation(prompt, ended)) == "#### 5 , <think> .<|im_start|>"


def test_an_example_whose_token_has_no_row_is_named(made: Path, tmp_path: Path) -> None:
    model, own = load_backbone(made)
    own.add_tokens([f"<unused{i}>" for i in range(len(model.get_input_embeddings().weight) - len(own) + 1)], True)
    own.chat_template = "<unused5>" + own.chat_template
    model.save_pretrained(tmp_path)
    own.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"example chain-.*: token '<unused5>' has id .*, the embedding table has"):
        assembled("qwen3-8b", tmp_path, "cot")
