"""Writes small models as GGUF files, as llama.cpp's converter does: its names, permuted heads, metadata, tokenizer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch

NAMES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma3_text": "gemma3"}
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6


def write_gguf(path: Path, model: Any, tokenizer: Any, quantised: str | None = None, **metadata: Any) -> Path:
    """Write a causal LM with a byte-level tokenizer, or a SentencePiece one with `<0x00>` and so on.

    Args:
        quantised: a type of GGML for the matrices, e.g. Q4_1; None: everything is float32.
        metadata: what to write beside or instead of the usual keys; `architecture`, `pre`, and float32 `tensors`.
    """
    config = model.config
    architecture = metadata.get("architecture", NAMES[config.model_type])
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(f"tiny {config.model_type}")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_rope_dimension_count(head)
    writer.add_key_length(head)
    rope = config.rope_parameters
    writer.add_rope_freq_base(rope.get("rope_theta") or rope["full_attention"]["rope_theta"])
    if architecture == "gemma3":
        writer.add_sliding_window(config.sliding_window)
    if scaling := metadata.get("scaling"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(scaling))
    _write_tokenizer(writer, tokenizer, metadata.get("pre", "gpt-2"))
    _write_weights(writer, model, NAMES[config.model_type], quantised)
    for name, values in metadata.get("tensors", {}).items():
        writer.add_tensor(name, np.asarray(values, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_tokenizer(writer: gguf.GGUFWriter, tokenizer: Any, pre: str) -> None:
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    tokens = [tokenizer.convert_ids_to_tokens(i) for i in range(len(tokenizer))]
    special = {one["content"] for one in described["added_tokens"] if one["special"]}
    types = [CONTROL if token in special else NORMAL for token in tokens]
    if described["model"]["byte_fallback"]:
        types = [
            BYTE if re.fullmatch("<0x[0-9A-F]{2}>", token) else kind for token, kind in zip(tokens, types, strict=True)
        ]
        types[tokenizer.unk_token_id] = UNKNOWN
        writer.add_tokenizer_model("llama")
        writer.add_token_scores([-float(i) for i in range(len(tokens))])
        writer.add_unk_token_id(tokenizer.unk_token_id)
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(pre)
        writer.add_token_merges([" ".join(pair) for pair in described["model"]["merges"]])
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_add_bos_token(False)
    writer.add_chat_template(tokenizer.chat_template)


def _write_weights(writer: gguf.GGUFWriter, model: Any, architecture: str, quantised: str | None) -> None:
    config = model.config
    kind = next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == architecture)
    names = gguf.get_tensor_name_map(kind, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, value in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        array = value.to(torch.float32).numpy()
        layer = name.split(".")[-2]
        if architecture == "llama" and layer in heads:
            array = array.reshape(heads[layer], 2, -1, array.shape[-1]).swapaxes(1, 2).reshape(array.shape)
        if architecture == "gemma3" and name.endswith("norm.weight"):
            array = array + 1
        stem, suffix = name.rsplit(".", 1)
        target = f"{names.get_name(stem)}.{suffix}"
        if quantised and array.ndim == 2:
            type_ = gguf.GGMLQuantizationType[quantised]
            writer.add_tensor(target, gguf.quantize(array, type_), raw_dtype=type_)
        else:
            writer.add_tensor(target, array)
