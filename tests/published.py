"""What the published models' files say: `config.json` and `generation_config.json`, with their real keys and values.

Only what decides the architecture, the token ids and the generation is kept; the name is that of the file in
`config/backbones/`. From the files of the hub ids named there.
"""

from __future__ import annotations

from typing import Any

LLAMA_EOS = [128001, 128008, 128009]


def qwen3(hidden: int, inner: int, layers: int, tied: bool) -> dict[str, Any]:
    return {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "attention_bias": False, "attention_dropout": 0.0,
        "bos_token_id": 151643, "eos_token_id": 151645, "head_dim": 128, "hidden_act": "silu", "hidden_size": hidden,
        "initializer_range": 0.02, "intermediate_size": inner, "max_position_embeddings": 40960,
        "max_window_layers": layers, "num_attention_heads": 32, "num_hidden_layers": layers, "num_key_value_heads": 8,
        "rms_norm_eps": 1e-06, "rope_scaling": None, "rope_theta": 1000000, "sliding_window": None,
        "tie_word_embeddings": tied, "torch_dtype": "bfloat16", "use_cache": True, "use_sliding_window": False,
        "vocab_size": 151936,
    }  # fmt: skip


def llama(hidden: int, inner: int, layers: int, heads: int, head: int | None, factor: float, tied: bool) -> Any:
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": False, "attention_dropout": 0.0,
        "bos_token_id": 128000, "eos_token_id": LLAMA_EOS, **({"head_dim": head} if head else {}), "hidden_act": "silu",
        "hidden_size": hidden, "initializer_range": 0.02, "intermediate_size": inner, "mlp_bias": False,
        "max_position_embeddings": 131072, "num_attention_heads": heads, "num_hidden_layers": layers,
        "num_key_value_heads": 8, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_theta": 500000.0,
        "rope_scaling": {
            "factor": factor, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
            "original_max_position_embeddings": 8192, "rope_type": "llama3",
        },
        "tie_word_embeddings": tied, "torch_dtype": "bfloat16", "use_cache": True, "vocab_size": 128256,
    }  # fmt: skip


def qwen25(hidden: int, inner: int, layers: int, heads: int, keys: int, vocabulary: int, tied: bool) -> dict[str, Any]:
    return {
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "attention_dropout": 0.0, "bos_token_id": 151643,
        "eos_token_id": 151645, "hidden_act": "silu", "hidden_size": hidden, "initializer_range": 0.02,
        "intermediate_size": inner, "max_position_embeddings": 32768, "max_window_layers": layers - layers % 7,
        "num_attention_heads": heads, "num_hidden_layers": layers, "num_key_value_heads": keys, "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": tied, "torch_dtype": "bfloat16",
        "use_cache": True, "use_sliding_window": False, "vocab_size": vocabulary,
    }  # fmt: skip


def pythia(hidden: int, layers: int, heads: int) -> dict[str, Any]:
    return {
        "architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "bos_token_id": 0, "eos_token_id": 0,
        "hidden_act": "gelu", "hidden_size": hidden, "initializer_range": 0.02, "intermediate_size": 4 * hidden,
        "layer_norm_eps": 1e-05, "max_position_embeddings": 2048, "num_attention_heads": heads,
        "num_hidden_layers": layers, "rotary_emb_base": 10000, "rotary_pct": 0.25, "tie_word_embeddings": False,
        "torch_dtype": "float16", "use_cache": True, "use_parallel_residual": True, "vocab_size": 50304,
    }  # fmt: skip


GEMMA_1B: dict[str, Any] = {
    "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "attention_bias": False,
    "attention_dropout": 0.0, "attn_logit_softcapping": None, "bos_token_id": 2, "cache_implementation": "hybrid",
    "eos_token_id": [1, 106], "final_logit_softcapping": None, "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 1152, "initializer_range": 0.02, "intermediate_size": 6912,
    "max_position_embeddings": 32768, "num_attention_heads": 4, "num_hidden_layers": 26, "num_key_value_heads": 1,
    "pad_token_id": 0, "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06, "rope_local_base_freq": 10000,
    "rope_scaling": None, "rope_theta": 1000000, "sliding_window": 512, "sliding_window_pattern": 6,
    "torch_dtype": "bfloat16", "use_cache": True, "vocab_size": 262144,
}  # fmt: skip

GEMMA_4B: dict[str, Any] = {
    "architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "boi_token_index": 255999,
    "eoi_token_index": 256000, "eos_token_id": [1, 106], "image_token_index": 262144, "initializer_range": 0.02,
    "mm_tokens_per_image": 256, "torch_dtype": "bfloat16",
    "text_config": {
        "hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text", "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024,
    },
    "vision_config": {
        "hidden_size": 1152, "image_size": 896, "intermediate_size": 4304, "model_type": "siglip_vision_model",
        "num_attention_heads": 16, "num_hidden_layers": 27, "patch_size": 14, "vision_use_head": False,
    },
}  # fmt: skip

CONFIGS: dict[str, dict[str, Any]] = {
    "qwen3-4b": qwen3(2560, 9728, 36, tied=True),
    "qwen3-8b": qwen3(4096, 12288, 36, tied=False),
    "llama3.2-1b": llama(2048, 8192, 16, 32, 64, 32.0, tied=True),
    "llama3.2-3b": llama(3072, 8192, 28, 24, 128, 32.0, tied=True),
    "llama3.1-8b": llama(4096, 14336, 32, 32, None, 8.0, tied=False),
    "mistral-7b": {
        "architectures": ["MistralForCausalLM"], "model_type": "mistral", "attention_dropout": 0.0, "bos_token_id": 1,
        "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02,
        "intermediate_size": 14336, "max_position_embeddings": 32768, "num_attention_heads": 32,
        "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05, "rope_theta": 1000000.0,
        "sliding_window": None, "tie_word_embeddings": False, "torch_dtype": "bfloat16", "use_cache": True,
        "vocab_size": 32768,
    },
    "smollm3-3b": {
        "architectures": ["SmolLM3ForCausalLM"], "model_type": "smollm3", "attention_bias": False,
        "attention_dropout": 0.0, "bos_token_id": 128000, "eos_token_id": 128012, "hidden_act": "silu",
        "hidden_size": 2048, "initializer_range": 0.02, "intermediate_size": 11008,
        "layer_types": ["full_attention"] * 36, "max_position_embeddings": 65536, "max_window_layers": 28,
        "mlp_bias": False, "no_rope_layer_interval": 4, "no_rope_layers": [1, 1, 1, 0] * 9, "num_attention_heads": 16,
        "num_hidden_layers": 36, "num_key_value_heads": 4, "pad_token_id": 128004, "pretraining_tp": 2,
        "rms_norm_eps": 1e-06, "rope_scaling": None, "rope_theta": 5000000.0, "sliding_window": None,
        "torch_dtype": "bfloat16", "use_cache": False, "use_sliding_window": False, "vocab_size": 128256,
    },
    "gpt2": {
        "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1,
        "bos_token_id": 50256, "embd_pdrop": 0.1, "eos_token_id": 50256, "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12,
        "n_positions": 1024, "resid_pdrop": 0.1, "vocab_size": 50257,
    },
    "pythia-160m": pythia(768, 12, 12),
    "pythia-410m": pythia(1024, 24, 16),
    "pythia-1b": pythia(2048, 16, 8),
    "pythia-1.4b": pythia(2048, 24, 16),
    "gemma3-1b": GEMMA_1B,
    "gemma3-4b": GEMMA_4B,
    "qwen2.5-1.5b": qwen25(1536, 8960, 28, 12, 2, 151936, tied=True),
    "qwen2.5-7b": qwen25(3584, 18944, 28, 28, 4, 152064, tied=False),
}  # fmt: skip

GENERATION: dict[str, dict[str, Any]] = {
    "qwen3": {"bos_token_id": 151643, "do_sample": True, "eos_token_id": [151645, 151643], "pad_token_id": 151643,
              "temperature": 0.6, "top_k": 20, "top_p": 0.95},
    "llama": {"bos_token_id": 128000, "do_sample": True, "eos_token_id": LLAMA_EOS, "temperature": 0.6, "top_p": 0.9},
    "gpt2": {"bos_token_id": 50256, "eos_token_id": 50256},
    "gpt_neox": {"bos_token_id": 0, "eos_token_id": 0},
    "mistral": {"bos_token_id": 1, "eos_token_id": 2},
    "smollm3": {"bos_token_id": 128000, "do_sample": True, "eos_token_id": 128012, "pad_token_id": 128004,
                "temperature": 0.6, "top_p": 0.95},
    "gemma3": {"bos_token_id": 2, "cache_implementation": "hybrid", "do_sample": True, "eos_token_id": [1, 106],
               "pad_token_id": 0, "top_k": 64, "top_p": 0.95},
    "qwen2": {"bos_token_id": 151643, "do_sample": True, "eos_token_id": [151645, 151643], "pad_token_id": 151643,
              "repetition_penalty": 1.1, "temperature": 0.7, "top_k": 20, "top_p": 0.8},
}  # fmt: skip
GENERATION["gemma3_text"] = GENERATION["gemma3"]
