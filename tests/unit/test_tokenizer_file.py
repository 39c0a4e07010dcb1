"""tokenizer.json says what the tokens are, whatever class a folder names, and so it stays through save and reload."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.integrations.mistral.tokenizer import MistralConverter
from transformers.utils import is_sentencepiece_available

from tests.folders import make_folder
from tests.unit.test_backbones_published import TEXTS, folder_settings
from thoughtscope.backbones import tokenizer_check
from thoughtscope.backbones.load import load_backbone, load_tokenizer
from thoughtscope.backbones.make import refer
from thoughtscope.backbones.prompt import prompt_ids, response_ids
from thoughtscope.backbones.tokenizer import TEMPLATE, train_tokenizer
from thoughtscope.backbones.tokenizer_check import RECORD, compare, notes
from thoughtscope.errors import UserError

GENERIC = ["TokenizersBackend", "PreTrainedTokenizerFast", "LlamaTokenizerFast", "GPT2TokenizerFast", "GPT2Tokenizer"]
FAMILIES = ["qwen2", "qwen3", "llama", "mistral", "gemma3_text", "smollm3", "gpt2", "gpt_neox", "deepseek_v3", "phi3"]


def folder(place: Path, model_type: str, kind: str | None, tokenizer: Any = None, **settings: Any) -> Path:
    """Write the tokenizer files of a model, named as another class's if `kind` says so, and a config.json."""
    made = tokenizer or train_tokenizer(TEXTS)
    made.save_pretrained(place)
    stated = json.loads((place / "tokenizer_config.json").read_text()) | settings
    stated = (
        {**stated, "tokenizer_class": kind} if kind else {k: v for k, v in stated.items() if k != "tokenizer_class"}
    )
    (place / "tokenizer_config.json").write_text(json.dumps(stated))
    (place / "config.json").write_text(json.dumps({"model_type": model_type}))
    return place


def agrees(tokenizer: Any, file: Path) -> bool:
    described = Tokenizer.from_file(str(file))
    texts = [*tokenizer_check.TEXTS, "<|user|>", "a<|eos|> b", *TEXTS[:5]]
    same = [tokenizer.encode(text) == described.encode(text).ids for text in texts]
    return all(same) and tokenizer.get_vocab() == described.get_vocab(with_added_tokens=True)


@pytest.mark.parametrize("model_type", FAMILIES)
@pytest.mark.parametrize("kind", [*GENERIC, None])
def test_the_file_decides_whatever_class_is_named(model_type: str, kind: str | None, tmp_path: Path) -> None:
    made = folder(tmp_path / "made", model_type, kind)
    tokenizer = load_tokenizer(made)
    assert agrees(tokenizer, made / "tokenizer.json")
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == ("<|bos|>", "<|eos|>", "<|pad|>")
    assert tokenizer.chat_template == TEMPLATE
    tokenizer.add_tokens(["<|latent|>"], special_tokens=True)
    saved = tmp_path / "saved"
    tokenizer.save_pretrained(saved)
    shutil.copy(made / "config.json", saved)
    again = load_tokenizer(saved)
    assert agrees(again, saved / "tokenizer.json")
    assert again.get_vocab() == tokenizer.get_vocab()
    assert all(response_ids(again, text) == response_ids(tokenizer, text) for text in TEXTS)
    assert prompt_ids(again, "3 * 2 =", True, {}) == prompt_ids(tokenizer, "3 * 2 =", True, {})


def test_what_auto_tokenizer_makes_of_it_is_recorded_with_the_backbone(tmp_path: Path) -> None:
    made = make_folder("qwen2.5-1.5b", tmp_path / "made", TEXTS)
    artifact = tmp_path / "artifact"
    artifact.mkdir()
    said: list[str] = []
    refer(folder_settings("qwen2.5-1.5b", made), artifact, said.append)
    record = json.loads((artifact / RECORD).read_text())
    assert record["file"] == "tokenizer.json"
    assert (record["auto_tokenizer"], record["used"]) == ("Qwen2Tokenizer", "TokenizersBackend")
    assert record["differs_from_file"] == record["differs_from_auto_tokenizer"] == []
    assert not any("encodes" in line for line in said)
    folder(made, "qwen2", "TokenizersBackend")
    found = compare(made)
    assert found["differs_from_file"] == []
    first = found["differs_from_auto_tokenizer"][0]
    assert first["text"] == tokenizer_check.TEXTS[0]
    assert first["used"][0] == "Ġ3" != first["auto_tokenizer"][0]
    (line,) = notes(found)
    assert line.startswith("AutoTokenizer (Qwen2Tokenizer) encodes ")


def test_a_family_whose_files_name_no_eos_has_that_of_its_class(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    made = folder(tmp_path, "gpt2", None, PreTrainedTokenizerFast(tokenizer_object=tokenizer))
    assert load_tokenizer(made).eos_token == "<|endoftext|>"
    made = folder(tmp_path, "gpt2", None, train_tokenizer(TEXTS), eos_token=None)
    with pytest.raises(UserError, match="no EOS token"):
        load_tokenizer(made)


def test_a_folder_with_vocabulary_and_merges_alone_works(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(TEXTS)
    folder(tmp_path, "gpt2", "GPT2Tokenizer", tokenizer, eos_token="<|eos|>", add_prefix_space=True)
    model = json.loads((tmp_path / "tokenizer.json").read_text())["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(model["vocab"]))
    (tmp_path / "merges.txt").write_text("\n".join(" ".join(merge) for merge in model["merges"]))
    (tmp_path / "tokenizer.json").unlink()
    loaded = load_tokenizer(tmp_path)
    assert all(response_ids(loaded, text) == response_ids(tokenizer, text) for text in TEXTS)
    assert compare(tmp_path)["file"] is None
    loaded.save_pretrained(tmp_path)
    assert all(response_ids(load_tokenizer(tmp_path), text) == response_ids(tokenizer, text) for text in TEXTS)


def large(digits: str) -> Any:
    """Return a tokenizer of as many words as Mistral's tekken, that splits numbers by `digits`."""
    words = list(pre_tokenizers.ByteLevel.alphabet()) + ["12", "123"] + [f"word{i}" for i in range(100_001)]
    vocabulary = {word: i for i, word in enumerate(sorted(words))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("1", "2"), ("12", "3")]))
    split = pre_tokenizers.Split(Regex(rf"{digits}|\s+|[^\s\d]+"), "isolated")
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Sequence([split, bytes_of]), decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>"])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def test_a_large_mistral_tokenizer_is_taken_as_its_file_says_unless_its_settings_correct_it(tmp_path: Path) -> None:
    made = folder(tmp_path / "made", "mistral", "LlamaTokenizerFast", large(r"\d{1,3}"))
    config = {"model_type": "mistral", "transformers_version": "4.51.0"}
    (made / "config.json").write_text(json.dumps(config))
    tokenizer = load_tokenizer(made)
    assert agrees(tokenizer, made / "tokenizer.json")
    assert tokenizer.tokenize("123") == ["123"]
    folder(made, "mistral", "LlamaTokenizerFast", large(r"\d{1,3}"), fix_mistral_regex=True)
    (made / "config.json").write_text(json.dumps(config))
    corrected = load_tokenizer(made)
    assert corrected.tokenize("123") == ["1", "2", "3"]
    assert compare(made)["differs_from_file"]
    corrected.save_pretrained(tmp_path / "saved")
    (tmp_path / "saved/config.json").write_text(json.dumps({"model_type": "mistral", "transformers_version": "5.23.0"}))
    assert response_ids(load_tokenizer(tmp_path / "saved"), "a 123") == response_ids(corrected, "a 123")


def test_a_token_without_a_row_is_refused_unless_no_text_can_hold_it(tmp_path: Path) -> None:
    made = make_folder("gemma3-1b", tmp_path / "made", TEXTS)
    tokenizer = load_tokenizer(made)
    rows = load_backbone(made)[0].get_input_embeddings().weight.shape[0]
    tokenizer.add_tokens([f"<unused{i}>" for i in range(rows - len(tokenizer) + 1)], special_tokens=True)
    tokenizer.save_pretrained(made)
    assert len(load_backbone(made)[1]) == rows + 1, "an image token without a row, as Gemma-3 1B has it"
    tokenizer.add_tokens(["12345"])
    tokenizer.save_pretrained(made)
    with pytest.raises(UserError, match=rf"token '12345' has id {rows + 1}, the embedding table has {rows} rows"):
        load_backbone(made)


def test_files_that_contradict_each_other_are_one_line(tmp_path: Path) -> None:
    made = folder(tmp_path, "llama", "PreTrainedTokenizerFast", eos_token="</s>")
    with pytest.raises(UserError, match=r"tokenizer_config\.json: eos_token: tokenizer\.json has no token '</s>'"):
        compare(made)
    moved = {"77": {"content": "<|eos|>", "special": True}}
    made = folder(tmp_path, "llama", "PreTrainedTokenizerFast", added_tokens_decoder=moved)
    with pytest.raises(UserError, match=r"'<\|eos\|>' has id 77, in tokenizer\.json it has 2"):
        compare(made)


def test_the_auto_class_would_have_made_other_tokens(tmp_path: Path) -> None:
    """Else the tests above could not fail."""
    made = folder(tmp_path, "qwen2", "LlamaTokenizerFast")
    assert not agrees(AutoTokenizer.from_pretrained(made), made / "tokenizer.json")


def tekken(place: Path, pattern: str) -> None:
    """Write Mistral's own form of a tokenizer: bytes, two merged numbers, two special tokens."""
    tokens = [*(bytes([i]) for i in range(256)), b"12", b"123"]
    vocabulary = [{"rank": i, "token_bytes": base64.b64encode(one).decode()} for i, one in enumerate(tokens)]
    special = [{"rank": i, "token_str": one, "is_control": True} for i, one in enumerate(("<s>", "</s>"))]
    sizes = {"default_vocab_size": len(tokens) + 2, "default_num_special_tokens": 2, "version": "v7"}
    raw = {"config": {"pattern": pattern, **sizes}, "vocab": vocabulary, "special_tokens": special}
    (place / "tekken.json").write_text(json.dumps(raw))


def test_two_tokenizers_of_one_folder_that_disagree_are_refused_until_one_is_chosen(tmp_path: Path) -> None:
    words = r"\d|\s+|[^\s\d]+"
    tekken(tmp_path, words)
    tokenizer = MistralConverter(str(tmp_path / "tekken.json")).converted()
    same = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    assert compare(folder(tmp_path, "mistral", "LlamaTokenizerFast", same))["differs_from_file"] == []
    tekken(tmp_path, words.replace(r"\d", r"\d{1,3}", 1))
    with pytest.raises(UserError) as caught:
        compare(tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "tokenizer_config.json: fix_mistral_regex",
        "tokenizer.json and tekken.json encode '12345",
        "set it to",
    ):
        assert part in message
    folder(tmp_path, "mistral", "LlamaTokenizerFast", same, fix_mistral_regex=False)
    assert compare(tmp_path)["file"] == "tokenizer.json"
    (tmp_path / "tekken.json").write_text("{}")
    assert compare(tmp_path)["file"] == "tokenizer.json"
    folder(tmp_path, "mistral", "LlamaTokenizerFast", same)
    with pytest.raises(UserError, match=r"tekken\.json: it does not load"):
        compare(tmp_path)


def test_a_sentencepiece_model_alone_needs_its_package_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    assert not is_sentencepiece_available()
    with pytest.raises(
        UserError, match=r"tokenizer\.model: .* needs the package sentencepiece; install it, or convert"
    ):
        load_tokenizer(tmp_path)
