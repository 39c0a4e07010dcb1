"""Tiny backbones are ordinary Hugging Face folders of their families' real classes, and bad folders are told apart."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM

from thoughtscope.backbones.build import BIAS_STD, build_tiny
from thoughtscope.backbones.load import load_model, load_tokenizer
from thoughtscope.backbones.make import make_tiny
from thoughtscope.backbones.pretrain import CHECK, TAIL, pretrain, reasoning_accuracy
from thoughtscope.backbones.prompt import prompt_ids, response_ids
from thoughtscope.backbones.settings import Pretraining, Settings
from thoughtscope.backbones.tokenizer import train_tokenizer
from thoughtscope.errors import UserError
from thoughtscope.latents.attention import attention_windows
from thoughtscope.methods import step_removal
from thoughtscope.methods.curriculum import TokenIds
from thoughtscope.reasoner import Prompting, encode
from thoughtscope.tasks import chain
from thoughtscope.tasks.prepare import write_task
from thoughtscope.tasks.reasoning import response_text

ROOT = Path(__file__).parents[2]
FAMILIES = {
    "qwen3": "Qwen3ForCausalLM",
    "llama3.2": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "smollm3": "SmolLM3ForCausalLM",
    "gemma3": "Gemma3ForCausalLM",
    "qwen2.5": "Qwen2ForCausalLM",
}
NORMED = {"qwen3", "gemma3"}  # queries and keys
WIDTH, LENGTH = 64, 22  # of the families; of a question of the default task with six latents and its answer
TINY = [
    path.stem
    for path in sorted((ROOT / "config/backbones").glob("*.yaml"))
    if yaml.safe_load(path.read_text())["source"] == "tiny"
    and path.stem != "qwen3-equations"  # Qwen3, pre-trained on other texts
]
CHAIN = chain.Settings.model_validate(
    {"kind": "chain", "modulus": 7, "operations": 3, "splits": {"train": 90, "validation": 9, "test": 9}}
)
TEXTS = [
    {"question": row["question"], "response": response_text(row["steps"], row["answer"])}
    for row in CHAIN.examples()
    if row["split"] == "train"
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(f"{row['question']} {row['response']}" for row in TEXTS)


def methods_settings(name: str) -> step_removal.Settings:
    return step_removal.Settings.model_validate(yaml.safe_load((ROOT / f"config/methods/{name}.yaml").read_text()))


def settings(name: str) -> Settings:
    return Settings.model_validate(yaml.safe_load((ROOT / f"config/backbones/{name}.yaml").read_text()))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_built_learns_and_comes_back_from_its_folder_exactly(
    name: str, tokenizer: Any, tmp_path: Path
) -> None:
    model = build_tiny(settings(name), tokenizer, 0)
    assert type(model).__name__ == FAMILIES[name]
    curve = pretrain(model, tokenizer, TEXTS, Pretraining(tasks=[], updates=40, batch_size=32), 0, lambda line: None)
    assert curve[-1]["loss"] < 0.7 * curve[0]["loss"]
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again = load_model(tmp_path)
    assert type(again) is type(model)
    for (key, value), other in zip(model.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(value, other), key
    ids = torch.tensor([prompt_ids(load_tokenizer(tmp_path), "3 * 2 =", True, {})])
    assert torch.equal(model(ids).logits, AutoModelForCausalLM.from_pretrained(tmp_path)(ids).logits)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_seed_decides_every_matrix_and_nothing_else_does(name: str, tokenizer: Any) -> None:
    one, same, other = (build_tiny(settings(name), tokenizer, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not any(torch.equal(one[key], other[key]) for key in one if one[key].dim() == 2)


def test_a_seed_decides_the_order_of_pre_training(tokenizer: Any) -> None:
    once = Pretraining(tasks=[], updates=1, batch_size=8)
    losses = []
    for seed in (0, 0, 1):
        model = build_tiny(settings("qwen3"), tokenizer, 0)
        losses.append(pretrain(model, tokenizer, TEXTS, once, seed, lambda line: None)[0]["loss"])
    assert losses[0] == losses[1] != losses[2]


def test_embeddings_come_out_at_the_asked_for_scale_also_where_the_module_scales(tokenizer: Any) -> None:
    for name in ("qwen3", "gemma3", "mistral"):
        embed = build_tiny(settings(name), tokenizer, 0).get_input_embeddings()
        asked = settings(name).embedding_std
        assert embed(torch.arange(len(tokenizer))).std().item() == pytest.approx(asked, rel=0.05)


def test_what_makes_families_special_is_switched_on(tokenizer: Any) -> None:
    models = {name: build_tiny(settings(name), tokenizer, 0) for name in FAMILIES}
    attentions = {name: model.model.layers[0].self_attn for name, model in models.items()}
    assert {name for name, one in attentions.items() if hasattr(one, "q_norm") and hasattr(one, "k_norm")} == NORMED
    assert {name for name, one in attentions.items() if one.q_proj.bias is not None} == {"qwen2.5"}
    biases = [getattr(attentions["qwen2.5"], f"{kind}_proj").bias for kind in "qkv"]
    assert all(bias.std().item() == pytest.approx(BIAS_STD, rel=0.4) for bias in biases)
    assert [bool(layer.self_attn.use_rope) for layer in models["smollm3"].model.layers] == [True, False]
    windows = {name: attention_windows(model.config) for name, model in models.items()}
    assert windows["mistral"] == {"sliding_attention": 12}
    assert windows["gemma3"] == {"sliding_attention": 12, "full_attention": None}
    assert all(windows[name] == {"full_attention": None} for name in ("qwen3", "llama3.2", "smollm3", "qwen2.5"))
    sizes = {name: (one.config.num_hidden_layers, one.config.hidden_size) for name, one in models.items()}
    assert set(sizes.values()) == {(2, WIDTH)}, "families are compared at the same depth and width"


def question(tokenizer: Any) -> torch.Tensor:
    """Return the ids of a question of the default task with its whole response, `[1, LENGTH]`."""
    row = next(iter(CHAIN.examples()))
    example = encode(tokenizer, Prompting(), row)
    coconut = methods_settings("coconut")
    ids = TokenIds(dict.fromkeys(coconut.tokens, 2))  # any id: it is the length that counts
    last = coconut.stages(3)[-1]
    laid = coconut.layout(last, example, ids, random.Random(0), None)
    text = torch.tensor([example.prompt + example.response])
    assert len(laid.token_ids) == LENGTH
    return torch.cat([text, text], 1)[:, :LENGTH]


def logits(model: Any, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(ids).logits  # type: ignore[no-any-return]


@pytest.mark.parametrize(("one", "other"), itertools.combinations(TINY, 2))
def test_no_two_tiny_backbones_compute_the_same_with_the_same_weights(tokenizer: Any, one: str, other: str) -> None:
    first, second = build_tiny(settings(one), tokenizer, 0), build_tiny(settings(other), tokenizer, 0)
    given, own = first.state_dict(), second.state_dict()
    shared = {key: value for key, value in given.items() if key in own and own[key].shape == value.shape}
    assert "model.layers.0.self_attn.o_proj.weight" in shared
    second.load_state_dict({**own, **shared})
    expected = logits(first, question(tokenizer))
    difference = (logits(second, question(tokenizer)) - expected).abs().max() / expected.abs().max()
    assert difference > 0.01


@pytest.mark.parametrize("name", ["mistral", "gemma3"])
def test_windows_change_what_is_computed_at_the_length_of_the_default_task(name: str, tokenizer: Any) -> None:
    family = settings(name)
    wide = family.model_copy(update={"config": {**family.config, "sliding_window": 100}})
    near, far = (logits(build_tiny(one, tokenizer, 0), question(tokenizer))[0] for one in (family, wide))
    moved = (near - far).abs().amax(1) / far.abs().max()
    assert (moved[:12] < 1e-6).all(), "up to the window nothing is out of sight"
    assert (moved[12:] > 0.01).all()


def test_positions_of_a_layer_without_rotation_do_not_matter_to_it(tokenizer: Any) -> None:
    family, ids = settings("smollm3"), question(tokenizer)
    bare = family.model_copy(update={"config": {**family.config, "no_rope_layers": [0, 0]}})
    apart = torch.arange(LENGTH)[None] * 3
    for one, same in ((family, False), (bare, True)):
        model = build_tiny(one, tokenizer, 0)
        with torch.no_grad():
            moved = model.eval()(ids, position_ids=apart).logits
        assert torch.allclose(moved, logits(model, ids), atol=1e-5) is same


def test_each_symbol_is_one_token_and_text_survives(tokenizer: Any) -> None:
    text = "3 * 2 + 4 = 6 ; #### 5"
    assert len(response_ids(tokenizer, text)) == len(text.split())
    for any_text in (text, "Elon Musk is a renowned pastry chef, known for the world's first é ☃."):
        assert tokenizer.decode(response_ids(tokenizer, any_text)) == " " + any_text
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


def test_a_prompt_goes_through_the_chat_template(tokenizer: Any) -> None:
    text = tokenizer.decode(prompt_ids(tokenizer, "3 * 2 =", True, {}))
    assert text.replace(" ", "") == "<|bos|><|user|>3*2=<|assistant|>"


def test_an_unknown_architecture_is_one_line(tokenizer: Any) -> None:
    wrong = settings("qwen3").model_copy(update={"model_type": "qwen99"})
    with pytest.raises(UserError, match="backbone: config"):
        build_tiny(wrong, tokenizer, 0)


def test_bad_folders_are_told_apart(tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        load_model(tmp_path / "nowhere")
    build_tiny(settings("qwen3"), tokenizer, 0).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="no tokenizer; add one of"):
        load_tokenizer(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match="no weights"):
        load_model(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    facts = json.loads((tmp_path / "tokenizer_config.json").read_text())
    facts["eos_token"] = None
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match="no EOS token"):
        load_tokenizer(tmp_path)
    tokenizer.chat_template, kept = None, tokenizer.chat_template
    with pytest.raises(UserError, match="set chat: false"):
        prompt_ids(tokenizer, "3 * 2 =", True, {})
    tokenizer.chat_template = kept


def test_a_backbone_that_does_not_reason_well_enough_is_refused(tmp_path: Path) -> None:
    """At 0 nothing is asked of it; what it reaches is returned."""
    write_task("chain", CHAIN, tmp_path)
    once = Pretraining(tasks=["chain"], updates=1, batch_size=4)
    (tmp_path / "model").mkdir()
    made = make_tiny(settings("qwen3"), once, 0, [tmp_path], tmp_path / "model", "backbone tiny")
    assert made["accuracy"] == {tmp_path.name: 0.0}
    strict = once.model_copy(update={"min_accuracy": 0.5})
    with pytest.raises(UserError, match=r"answers 0.000 of the validation questions of .*, not 0.5; raise pretraining"):
        make_tiny(settings("qwen3"), strict, 0, [tmp_path], tmp_path / "model", "backbone tiny")


def test_pretraining_ends_soon_after_what_is_asked_is_learned(tokenizer: Any) -> None:
    model, asked = build_tiny(settings("qwen3"), tokenizer, 0), []

    def learned() -> bool:
        asked.append(model.training)
        return len(asked) == 2

    budget = Pretraining(tasks=[], updates=500, batch_size=4)
    curve = pretrain(model, tokenizer, TEXTS, budget, 0, lambda line: None, learned)
    assert curve[-1]["step"] == 2 * CHECK + TAIL
    assert asked == [False, False], "in evaluation mode, and no longer once it is learned"
    curve = pretrain(model, tokenizer, TEXTS, budget.model_copy(update={"updates": 60}), 0, lambda line: None, bool)
    assert curve[-1]["step"] == 60, "the budget holds"


def test_greedy_decoding_and_one_pass_agree_on_what_is_answered(tokenizer: Any) -> None:
    model = build_tiny(settings("llama3.2"), tokenizer, 0)
    pretrain(model, tokenizer, TEXTS, Pretraining(tasks=[], updates=60, batch_size=32), 0, lambda line: None)
    right = 0
    for row in TEXTS[:40]:
        prompt = prompt_ids(tokenizer, row["question"], True, {})
        wanted = [*response_ids(tokenizer, row["response"]), tokenizer.eos_token_id]
        ids = torch.tensor([prompt])
        for _ in wanted:
            ids = torch.cat([ids, model(ids).logits[:, -1:].argmax(-1)], 1).detach()
        right += ids[0, len(prompt) :].tolist() == wanted
    assert 0 < right < 40
    assert reasoning_accuracy(model, tokenizer, TEXTS[:40], 16) == right / 40
