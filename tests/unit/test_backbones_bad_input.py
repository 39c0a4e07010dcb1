"""What is wrong with a given backbone is one line, before anything trains."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.folders import CONTEXT, make_folder
from tests.unit.test_backbones_published import QUESTION, ROWS, TEXTS, assembled, folder_settings
from thoughtscope.backbones.load import load_model, load_tokenizer
from thoughtscope.backbones.make import refer
from thoughtscope.backbones.prompt import prompt_ids
from thoughtscope.errors import UserError


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("folders")
    return {name: make_folder(name, place / name, TEXTS) for name in ("qwen3-4b", "smollm3-3b", "mistral-7b")}


def test_sharded_parameters_are_refused_to_a_frozen_run(folders: dict[str, Path]) -> None:
    with pytest.raises(UserError, match=r"config/deepspeed/zero3\.yaml: .* stage 3 is for trainable: full"):
        assembled("qwen3-4b", folders["qwen3-4b"], "coconut", trainable="lora",
                  lora={"training": {"deepspeed": "zero3"}})  # fmt: skip


def test_an_example_that_does_not_fit_the_context_is_refused_before_training(folders: dict[str, Path]) -> None:
    name = "smollm3-3b"
    prompt = assembled(name, folders[name], "coconut").splits.test[0].prompt
    with pytest.raises(UserError) as caught:
        assembled(name, folders[name], "coconut", evaluation={"max_new_tokens": CONTEXT})
    message = str(caught.value)
    assert "\n" not in message
    for part in ("example chain-", f"prompt ({len(prompt)} tokens)", f"the model has {CONTEXT}", "max_new_tokens"):
        assert part in message
    with pytest.raises(UserError, match="example long: prompt"):
        assembled(
            name, folders[name], "lt-tuning", rows=[*ROWS, {**ROWS[0], "example_id": "long", "question": "3 " * 999}]
        )


def edit(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def shard(folder: Path) -> Path:
    return next(folder.glob("model-00002*.safetensors"))


def quantised(method: str, key: str = "quantization_config") -> Callable[[Path], None]:
    return lambda folder: edit(folder / "config.json", **{key: {"quant_method": method, "bits": 4}})


def without_weights(folder: Path, other: str = "") -> None:
    for file in folder.glob("model*"):
        file.unlink()
    if other:
        (folder / other).write_bytes(b"x")


def adapter(folder: Path, alone: bool = False) -> None:
    if alone:
        without_weights(folder, "adapter_model.safetensors")
        (folder / "config.json").unlink()
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "meta-llama/Llama-3.2-1B"}')


def integers(folder: Path) -> None:
    weights = load_file(shard(folder))
    save_file({name: value.to(torch.int8) for name, value in weights.items()}, shard(folder), {"format": "pt"})


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    **{
        f"quantised, {one}": (quantised(one), f"/config.json: quantization_config: the weights are quantised ({one})")
        for one in ("bitsandbytes", "gptq", "awq", "fp8", "compressed-tensors", "mxfp4")
    },
    "quantised, older key": (quantised("sparse", "compression_config"), "/config.json: compression_config: "),
    "quantised, text part": (
        lambda d: edit(d / "config.json", text_config={"quantization_config": {"quant_method": "fp8"}}),
        "/config.json: text_config.quantization_config: the weights are quantised (fp8)",
    ),
    "quantised, own file": (
        lambda d: (d / "quantize_config.json").write_text("{}"), "/quantize_config.json: the weights are quantised"
    ),
    "quantised, unsaid": (integers, ".weight: the weight is quantised (I8)"),
    "adapter alone": (
        lambda d: adapter(d, alone=True), "/adapter_config.json: the folder holds an adapter of meta-llama/Llama"
    ),
    "adapter inside": (adapter, "the folder holds an adapter of meta-llama/Llama-3.2-1B; merge it"),
    "adapter, empty": (lambda d: (d / "adapter_config.json").write_text(""), "adapter_config.json: the file is empty"),
    "no config": (lambda d: (d / "config.json").unlink(), "/config.json: no such file; point to a complete"),
    "empty config": (lambda d: (d / "config.json").write_text(""), "/config.json: the file is empty; copy"),
    "config cut": (lambda d: (d / "config.json").write_text('{"a": '), "/config.json: it is no JSON (Expecting value"),
    "config a list": (lambda d: (d / "config.json").write_text("[]"), "/config.json: it is no JSON object"),
    "config of nothing": (lambda d: (d / "config.json").write_text("{}"), "/config.json: model_type: it is missing"),
    "config, unknown": (lambda d: edit(d / "config.json", model_type="q99"), "model_type: Transformers has no q99"),
    "config, encoder": (lambda d: edit(d / "config.json", model_type="t5"), "t5 is no causal language model"),
    "config, foreign": (
        lambda d: (d / "config.json").write_text('{"model_type": "gpt2", "n_layer": 2, "n_embd": 24, "n_head": 2}'),
        "/config.json: the files lack",
    ),
    "config, wider": (lambda d: edit(d / "config.json", hidden_size=64), "/config.json: it makes weight model."),
    "config, wrong type": (lambda d: edit(d / "config.json", hidden_size="x"), "'hidden_size' expected int, got str"),
    "config, fewer layers": (
        lambda d: edit(d / "config.json", num_hidden_layers=2), "/config.json: the files hold weight model.layers.2."
    ),
    "config, more layers": (lambda d: edit(d / "config.json", num_hidden_layers=5), "weight model.layers.4."),
    "shard missing": (lambda d: shard(d).unlink(), ": no such file, and model.safetensors.index.json"),
    "shard cut": (lambda d: shard(d).write_bytes(shard(d).read_bytes()[:-9]), ".safetensors: the file is damaged"),
    "shard empty": (lambda d: shard(d).write_bytes(b""), ".safetensors: the file is damaged"),
    "shard a pointer": (lambda d: shard(d).write_text("version https://git-lfs"), ".safetensors: the file is damaged"),
    "index empty": (lambda d: (d / "model.safetensors.index.json").write_text(""), "index.json: the file is empty"),
    "index of nothing": (
        lambda d: (d / "model.safetensors.index.json").write_text("{}"), "index.json: weight_map: it names no weights"
    ),
    "pickle": (lambda d: without_weights(d, "pytorch_model.bin"), "only pytorch_model.bin, which is not read; load"),
    "gguf": (lambda d: without_weights(d, "m.gguf"), "only m.gguf, which is not read"),
    "no weights": (without_weights, "no weights (model.safetensors, or"),
    "generation, unsaveable": (
        lambda d: edit(d / "generation_config.json", do_sample=False, temperature=0.6),
        "/generation_config.json: GenerationConfig is invalid: - `temperature`",
    ),
    "generation, empty": (lambda d: (d / "generation_config.json").write_text(""), "config.json: the file is empty"),
    "generation, list": (lambda d: (d / "generation_config.json").write_text("[]"), "it is no JSON object"),
    "generation, end": (
        lambda d: edit(d / "generation_config.json", eos_token_id="a"), "eos_token_id: 'a' is no token id; correct"
    ),
    "tokenizer empty": (lambda d: (d / "tokenizer.json").write_text(""), "/tokenizer.json: the file is empty"),
    "tokenizer cut": (lambda d: (d / "tokenizer.json").write_text('{"a": '), "/tokenizer.json: it is no JSON"),
    "tokenizer of nothing": (lambda d: (d / "tokenizer.json").write_text("{}"), "it does not load ("),
    "tokenizer missing": (lambda d: (d / "tokenizer.json").unlink(), "no tokenizer; add one of tokenizer.json"),
    "tokenizer settings": (lambda d: (d / "tokenizer_config.json").write_text("[]"), "tokenizer_config.json: it is no"),
    "no EOS": (
        lambda d: edit(d / "tokenizer_config.json", eos_token=None),
        "the tokenizer has no EOS token; set eos_token in tokenizer_config.json",
    ),
    "unknown EOS": (
        lambda d: edit(d / "tokenizer_config.json", eos_token="<no>"), "eos_token: tokenizer.json has no token '<no>'"
    ),
    "no template": (
        lambda d: edit(d / "tokenizer_config.json", chat_template=None), "the tokenizer has no chat template; set chat"
    ),
    "template fails": (
        lambda d: edit(d / "tokenizer_config.json", chat_template="{{ 1 / 0 }}"), "the chat template fails (division"
    ),
    "empty folder": (lambda d: [file.unlink() for file in d.iterdir()], "/config.json: no such file"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_folder_is_one_line_when_the_backbone_is_built(
    name: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    breaks, expected = BROKEN[name]
    made, artifact = tmp_path / "made", tmp_path / "artifact"
    shutil.copytree(folders["qwen3-4b"], made)
    artifact.mkdir()
    breaks(made)
    with pytest.raises(UserError) as caught:
        refer(folder_settings("qwen3-4b", made), artifact, lambda line: None)
    message = str(caught.value)
    assert "\n" not in message
    assert expected in message
    assert str(made) in message or message.startswith("backbone: chat")


def test_a_missing_weight_is_named_and_no_padding_token_is_no_mistake(folders: dict[str, Path], tmp_path: Path) -> None:
    made = tmp_path / "made"
    shutil.copytree(folders["qwen3-4b"], made)
    edit(made / "tokenizer_config.json", pad_token=None)
    assert load_tokenizer(made).pad_token_id is None, "nothing sees padding"
    index = made / "model.safetensors.index.json"
    cut = json.loads(index.read_text())
    del cut["weight_map"]["model.norm.weight"]
    kept = load_file(shard(made))
    kept.pop("model.norm.weight", None)
    save_file(kept, shard(made), {"format": "pt"})
    index.write_text(json.dumps(cut))
    with pytest.raises(UserError) as caught:
        load_model(made)
    assert str(caught.value) == f"{made}: weight model.norm.weight is missing; complete the *.safetensors files"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ raise_exception('no users here') }}", "the chat template fails (no users here)"),
        ("{{ bos_token }}", "leaves the question out"),
        ("{% for %}", "the chat template fails"),
        (None, "no chat template; set chat: false"),
    ],
)
def test_a_chat_template_that_fails_is_one_line(template: str | None, expected: str, folders: dict[str, Path]) -> None:
    tokenizer = load_tokenizer(folders["mistral-7b"])
    tokenizer.chat_template = template
    with pytest.raises(UserError) as caught:
        prompt_ids(tokenizer, QUESTION, True, {})
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
