"""Tiny random models of the six families, from their real classes, with what makes each special switched on."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

WIDTH, VOCABULARY, PAD, EOS, LATENT = 32, 50, 0, 2, 3

FAMILIES: dict[str, dict[str, Any]] = {
    "qwen3": {"head_dim": 8},
    "llama": {},
    "mistral": {"sliding_window": 4, "head_dim": 8},
    "smollm3": {},
    "gemma3_text": {
        "sliding_window": 4,
        "head_dim": 8,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
    },
    "qwen2": {},
}


def make_model(family: str, dtype: torch.dtype = torch.float64, tied: bool = False, attention: str = "sdpa") -> Any:
    """Return a model of four layers with grouped heads, in evaluation mode."""
    config = AutoConfig.for_model(
        family,
        hidden_size=WIDTH,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=VOCABULARY,
        max_position_embeddings=64,
        pad_token_id=PAD,
        bos_token_id=1,
        eos_token_id=EOS,
        initializer_range=WIDTH**-0.5 * 0.9,
        tie_word_embeddings=tied,
        **FAMILIES[family],
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention).to(dtype).eval()
    if dtype == torch.float64:
        for module in model.modules():
            if type(module).__name__.endswith("RMSNorm"):
                module.forward = partial(_wide_norm, module)
    return model


def _wide_norm(module: Any, x: Tensor) -> Tensor:
    """The family's RMS norm without its cast to float32, which would cap what float64 can show at 1e-7."""
    epsilon = getattr(module, "variance_epsilon", None) or module.eps
    gain = module.weight + 1 if type(module).__name__.startswith("Gemma3") else module.weight
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon) * gain  # type: ignore[no-any-return]
