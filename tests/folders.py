"""Small Hugging Face folders as the published ones are: the family's class, its configuration keys, its kind of
tokenizer and chat template, sharded weights. Only sizes and the vocabulary are small.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from tests.published import CONFIGS, GENERATION

CONTEXT, WINDOW = 256, 6
QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# the forms of the families' templates, as far as a single question needs them
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
)
THINKING_OFF = "{% if enable_thinking is defined and not enable_thinking %}{{ '<think>\n\n</think>\nEND' }}{% endif %}"
QWEN_SYSTEM = "{{ '<|im_start|>system\nYou are Qwen, a helpful assistant.<|im_end|>\n' }}"
SMOLLM_SYSTEM = (
    "{{ '<|im_start|>system\n## Metadata\n\nToday Date: ' + strftime_now('%d %B %Y') + '\nReasoning Mode: ' }}"
    "{{ '/no_think' if enable_thinking is defined and not enable_thinking else '/think' }}{{ '<|im_end|>\n' }}"
)
LLAMA = (
    "{{ bos_token }}{% if not date_string is defined %}{% set date_string = DATE %}{% endif %}"
    "{{ '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' + date_string + '\n\n<|eot_id|>' }}"
    "{% for m in messages %}{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' + m.content | trim }}"
    "{{ '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
MISTRAL = "{{ bos_token }}{% for m in messages %}{{ '[INST] ' + m.content + '[/INST]' }}{% endfor %}"
GEMMA = (
    "{{ bos_token }}{% for m in messages %}{{ '<start_of_turn>' + m.role + '\n' + m.content | trim }}"
    "{{ '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Style:
    """A family's tokenizer: its special tokens, by the ids that its published files use, and its template."""

    kind: str
    special: dict[int, str]
    template: str | None
    bos: str | None
    eos: str
    pad: str | None
    adds_bos: bool = False
    other: list[str] = field(default_factory=list)


QWEN = {151643: "<|endoftext|>", 151645: "<|im_end|>"}
LLAMA_IDS = {128000: "<|begin_of_text|>", 128001: "<|end_of_text|>", 128008: "<|eom_id|>", 128009: "<|eot_id|>"}
HEADERS = ["<|start_header_id|>", "<|end_header_id|>"]
QWEN3_STYLE = Style(
    "Qwen2Tokenizer", QWEN, CHATML + THINKING_OFF.replace("END", "\n") + "{% endif %}", None, "<|im_end|>",
    "<|endoftext|>", other=["<|im_start|>"],
)  # fmt: skip
LLAMA_STYLE = Style(
    "PreTrainedTokenizerFast", LLAMA_IDS, LLAMA.replace("DATE", "strftime_now('%d %b %Y')"), "<|begin_of_text|>",
    "<|eot_id|>", None, adds_bos=True, other=HEADERS,
)  # fmt: skip
LLAMA31_STYLE = Style(
    "PreTrainedTokenizerFast", LLAMA_IDS, LLAMA.replace("DATE", "'26 Jul 2024'"), "<|begin_of_text|>", "<|eot_id|>",
    None, adds_bos=True, other=HEADERS,
)  # fmt: skip
GEMMA_STYLE = Style(
    "GemmaTokenizer", {0: "<pad>", 1: "<eos>", 2: "<bos>", 3: "<unk>", 106: "<end_of_turn>"}, GEMMA, "<bos>", "<eos>",
    "<pad>", adds_bos=True, other=["<start_of_turn>"],
)  # fmt: skip
PYTHIA_STYLE = Style("GPTNeoXTokenizer", {0: "<|endoftext|>"}, None, "<|endoftext|>", "<|endoftext|>", None)
STYLES = {
    "gpt2": Style("GPT2Tokenizer", {50256: "<|endoftext|>"}, None, "<|endoftext|>", "<|endoftext|>", None),
    "pythia-160m": PYTHIA_STYLE,
    "pythia-410m": PYTHIA_STYLE,
    "pythia-1b": PYTHIA_STYLE,
    "pythia-1.4b": PYTHIA_STYLE,
    "qwen3-4b": QWEN3_STYLE,
    "qwen3-8b": QWEN3_STYLE,
    "llama3.2-1b": LLAMA_STYLE,
    "llama3.2-3b": LLAMA_STYLE,
    "llama3.1-8b": LLAMA31_STYLE,
    "mistral-7b": Style(
        "LlamaTokenizer", {0: "<unk>", 1: "<s>", 2: "</s>"}, MISTRAL, "<s>", "</s>", None, adds_bos=True,
        other=["[INST]", "[/INST]"],
    ),
    "smollm3-3b": Style(
        "PreTrainedTokenizerFast",
        {128000: "<|begin_of_text|>", 128004: "<|finetune_right_pad_id|>", 128012: "<|im_end|>"},
        SMOLLM_SYSTEM + CHATML + THINKING_OFF.replace("END", "") + "{% endif %}", None, "<|im_end|>", "<|im_end|>",
        other=["<|im_start|>"],
    ),
    "gemma3-1b": GEMMA_STYLE,
    "gemma3-4b": GEMMA_STYLE,
    "qwen2.5-1.5b": Style(
        "Qwen2Tokenizer", QWEN, QWEN_SYSTEM + CHATML + "{% endif %}", None, "<|im_end|>", "<|endoftext|>",
        other=["<|im_start|>"],
    ),
}  # fmt: skip
STYLES["qwen2.5-7b"] = STYLES["qwen2.5-1.5b"]


def make_folder(name: str, folder: Path, texts: Iterable[str], seed: int = 0) -> Path:
    """Write the small folder of a published model: four layers, 32 wide (Gemma: six, its whole pattern)."""
    style = STYLES[name]
    tokenizer = _tokenizer(style, texts)
    ids = {old: tokenizer.convert_tokens_to_ids(text) for old, text in style.special.items()}
    raw = _small(CONFIGS[name], len(tokenizer) + 5, ids)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(raw))
    config = AutoConfig.from_pretrained(folder)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder, max_shard_size="60KB")
    tokenizer.save_pretrained(folder)
    facts = json.loads((folder / "tokenizer_config.json").read_text())
    facts |= {"tokenizer_class": style.kind} | ({"chat_template": style.template} if style.template else {})
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    generation = _renumber(GENERATION[raw["model_type"]], ids)
    for file, content in (("config", raw), ("tokenizer_config", facts), ("generation_config", generation)):
        (folder / f"{file}.json").write_text(json.dumps(content, indent=1))
    return folder


def _tokenizer(style: Style, texts: Iterable[str]) -> Any:
    """Byte-level BPE as Qwen and Llama 3 have it; pieces that carry a mark for their space as Mistral and Gemma do."""
    marked = style.kind in {"LlamaTokenizer", "GemmaTokenizer"}
    special = [*style.special.values(), *style.other]
    bytes_ = [f"<0x{i:02X}>" for i in range(256)]
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True) if marked else models.BPE())
    if marked:
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    elif style.kind == "Qwen2Tokenizer":
        split = pre_tokenizers.Split(Regex(QWEN_WORDS), behavior="isolated")
        bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_of])
        tokenizer.decoder = decoders.ByteLevel()
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    if style.kind == "GPTNeoXTokenizer":
        tokenizer.normalizer = normalizers.NFC()
    alphabet = [] if marked else pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=special + (bytes_ if marked else []), initial_alphabet=alphabet,
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    if style.adds_bos and style.bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{style.bos} $A", special_tokens=[(style.bos, tokenizer.token_to_id(style.bos))]
        )
    names = {"bos_token": style.bos, "eos_token": style.eos, "pad_token": style.pad}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **{key: value for key, value in names.items() if value})


def _small(config: dict[str, Any], vocabulary: int, ids: dict[int, int]) -> dict[str, Any]:
    """Return a published configuration with small sizes and the small tokenizer's ids; every other key stays."""
    raw = copy.deepcopy(config)
    text = raw.get("text_config", raw)
    layers = 6 if "gemma" in text["model_type"] else 4
    if text["model_type"] == "gpt2":
        text |= {"n_embd": 32, "n_layer": layers, "n_head": 4, "n_positions": CONTEXT, "vocab_size": vocabulary}
        return _renumber(raw, ids)
    text |= {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": layers, "vocab_size": vocabulary}
    text |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": CONTEXT}
    if "head_dim" in text or "text_config" in raw:
        text["head_dim"] = 16  # wider than hidden_size / heads, as Qwen3 and Gemma have it
    if "gemma" in text["model_type"]:
        text |= {"sliding_window": WINDOW, "query_pre_attn_scalar": 16}
    elif text.get("sliding_window"):
        text |= {"sliding_window": WINDOW, "max_window_layers": layers}
    for key in ("no_rope_layers", "layer_types"):
        if key in text:
            text[key] = text[key][:layers]
    if (text.get("rope_scaling") or {}).get("rope_type") == "llama3":
        text["rope_scaling"]["original_max_position_embeddings"] = CONTEXT // 4
    if "vision_config" in raw:
        raw["vision_config"] |= {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
        raw["vision_config"] |= {"num_attention_heads": 2, "image_size": 28}
        raw |= {"mm_tokens_per_image": 4, "image_token_index": vocabulary - 1}
        raw |= {"boi_token_index": vocabulary - 2, "eoi_token_index": vocabulary - 3}
    return _renumber(raw, ids)


def _renumber(raw: dict[str, Any], ids: dict[int, int]) -> dict[str, Any]:
    """Replace the published ids of special tokens by those of the small tokenizer."""
    found = dict(raw)
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        if key in found:
            value = found[key]
            found[key] = [ids[one] for one in value] if isinstance(value, list) else ids[value]
    return found
