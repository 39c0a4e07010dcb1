"""Verifies the latent engine on a small random model of every class of `AutoModelForCausalLM`.

Each model has the default configuration of its class with small sizes, and every scale, soft cap and window of the
class is set to a value that has an effect. Each model is verified in a new process with a time limit.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any

import torch
import transformers
from transformers import AutoConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging

from thoughtscope.backbones.comparison import check_config
from thoughtscope.backbones.small import (
    EXPERTS,
    HEAD,
    HEADS,
    KEY_HEADS,
    LAYERS,
    RANK,
    WINDOW,
    small_config,
    small_model,
)
from thoughtscope.backbones.verification import verify
from thoughtscope.errors import UserError
from thoughtscope.latents.attention import FULL, SLIDING
from thoughtscope.training.hyperparameters import Lora
from thoughtscope.training.network import freeze

SECONDS = 120
START, END = "<!-- survey: start -->", "<!-- survey: end -->"

SCALES: dict[str, Any] = {
    "logits_scaling": 8.0, "logit_scale": 0.25, "final_logit_softcapping": 2.0, "lm_head_multiplier": 0.5,
    "logits_soft_cap": 2.0, "attn_logit_softcapping": 1.0, "embedding_multiplier": 3.0, "embedding_scale": 3.0,
    "scale_emb": 3.0, "scale_embedding": True, "attention_multiplier": 0.3, "query_pre_attn_scalar": 5,
    "residual_multiplier": 0.5, "scale_depth": 2.0, "dim_model_base": 8, "routed_scaling_factor": 2.5,
    "route_scale": 2.5, "router_scaling_factor": 2.5, "moe_routed_scaling_factor": 2.5, "attention_value_scale": 0.5,
    "moe_router_logit_softcapping": 1.0, "mup_enabled": True, "clip_qkv": 0.5, "key_multiplier": 0.5,
    "attn_scale": 0.5, "mlp_gate_softcap": 1.0, "mlp_up_softcap": 1.0,
    "scale_attn_by_inverse_layer_idx": True, "use_qk_norm": True, "qk_layernorm": True,
}  # fmt: skip
"""Values of what scales or caps numbers, for every configuration that has the key."""

SWITCHES = {"is_decoder": True, "use_sliding_window": True, "max_window_layers": 2}
"""What makes a class a causal decoder, and slide."""

MIXED = {"layer_types": [SLIDING, FULL, SLIDING, FULL]}
ROPE = {"rope_type": "default", "rope_theta": 10000.0}
EXTRA: dict[str, dict[str, Any]] = {
    "bamba": {"mamba_n_heads": 4, "mamba_d_head": 16},
    "cohere_compass_text": {**MIXED, "rope_parameters": {FULL: ROPE, SLIDING: ROPE}},
    "dbrx": {"attn_config": {"kv_n_heads": KEY_HEADS, "clip_qkv": 0.5, "rope_theta": 10000.0}},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "dots1": {"n_routed_experts": EXPERTS, "num_experts_per_tok": 2, "n_shared_experts": 1, **MIXED},
    "exaone4": MIXED,
    "granitemoehybrid": {"mamba_n_heads": 4, "mamba_d_head": 16},
    "hunyuan_v1_dense": {"head_dim": HEAD},
    "hunyuan_v1_moe": {"head_dim": HEAD},
    "lfm2": {"full_attn_idxs": [1, 3], "layer_types": None},
    "lfm2_moe": {"layer_types": ["conv", FULL, "conv", FULL]},
    "ministral": {"head_dim": HEAD, **MIXED},
    "nemotron": {"num_key_value_heads": KEY_HEADS, "head_dim": HEAD},
    "plbart": {"decoder_attention_heads": HEADS, "encoder_attention_heads": HEADS},
    "reformer": {"axial_pos_embds_dim": [16, 16], "axial_pos_shape": [8, 8]},
    "whisper": {"decoder_attention_heads": HEADS, "encoder_attention_heads": HEADS},
    "xmod": {"default_language": "en_XX"},
}
"""What a model type needs beyond its defaults to be built, or to have the layers that its published models have."""

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "granitemoehybrid, attention only": ("granitemoehybrid", {"layer_types": [FULL] * LAYERS}),
    "gemma4_text, without per-layer inputs": ("gemma4_text", {"hidden_size_per_layer_input": 0}),
    "qwen2, without windows": ("qwen2", {"use_sliding_window": False}),
}
"""Other configurations of a model type that its published models have."""


@dataclass(frozen=True)
class Finding:
    """The verdict on one model type.

    Attributes:
        name: the model type, or one of `VARIANTS`.
        model: its class.
        exercised: the keys that were set to a value with an effect.
        difference: the largest relative difference; None if the model is refused.
        reason: why the model is refused.
    """

    name: str
    model: str
    exercised: tuple[str, ...] = ()
    difference: float | None = None
    reason: str = ""


def model_types() -> list[str]:
    """Return every model type of `AutoModelForCausalLM`, and the variants."""
    return sorted([*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *VARIANTS])


def examine(name: str) -> Finding:
    """Build a small model of a model type and verify the engine on it, without and with LoRA adapters."""
    model_type, more = VARIANTS.get(name, (name, {}))
    class_name = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[model_type]
    exercised: tuple[str, ...] = ()
    try:
        model_class, config = _class_and_config(model_type)
        class_name = model_class.__name__
        changed = {**_chosen(config), **EXTRA.get(model_type, {}), **more}
        exercised = tuple(sorted(changed.keys() & (SCALES.keys() | {"sliding_window"})))
        check_config(config if not more else SimpleNamespace(**{**config.to_dict(), **more}), name)
        attention = "sdpa" if model_class._supports_sdpa else "eager"
        model = small_model(model_class, small_config(config, **changed), attention)
        full = verify(model, name, gradients=True).largest
        difference = max(full, verify(_with_lora(model), f"{name}, lora").largest)
    except UserError as error:
        return Finding(name, class_name, exercised, None, _reason(error))
    except Exception as error:  # a class may raise any exception
        reason = f"a small model cannot be built ({type(error).__name__}: {str(error).strip().splitlines()[-1][:120]})"
        return Finding(name, class_name, exercised, None, reason)
    return Finding(name, class_name, exercised, difference)


def _reason(error: UserError) -> str:
    problem = f"lora: {error.problem}" if error.where.endswith(", lora") else error.problem
    return problem if error.fix == "use another model" else f"{problem}; {error.fix}"


def _class_and_config(model_type: str) -> tuple[Any, Any]:
    """Return the causal LM of a model type, and the configuration of the part that reads text."""
    whole = AutoConfig.for_model(model_type)
    config = whole.get_text_config(decoder=True)
    named = getattr(transformers, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[model_type])
    if config is whole or named.config_class is type(config):
        return named, config
    return getattr(transformers, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[config.model_type]), config


def _chosen(config: Any) -> dict[str, Any]:
    """Return values with an effect for the scales, windows and switches that a configuration has."""
    known = config.to_dict()
    found = {name: value for name, value in {**SCALES, **SWITCHES}.items() if name in known}
    if "sliding_window" in known and known.get("layer_types", [SLIDING]) and known["sliding_window"] is None:
        found["sliding_window"] = WINDOW
    return found


def _with_lora(model: Any) -> Any:
    """Add LoRA adapters with an effect, and a trained embedding row, as in a LoRA run."""
    adapted = freeze(model, Lora(rank=RANK), [HEADS], 0)
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "lora_B" in name:
                value.normal_(0, 0.1)
    return adapted.get_base_model().eval()


def survey(names: Iterable[str], seconds: int = SECONDS) -> list[Finding]:
    """Examine model types one after another, each in a new process.

    Args:
        seconds: time limit for each model.
    """
    logging.set_verbosity_error()
    context = multiprocessing.get_context("fork")
    found = []
    for name in names:
        receiving, sending = context.Pipe(duplex=False)
        process = context.Process(target=_send, args=(name, sending))
        process.start()
        sending.close()
        try:
            one = receiving.recv() if receiving.poll(seconds) else Finding(name, "", (), None, f"over {seconds} s")
        except EOFError:
            one = Finding(name, "", (), None, "its process ended without a verdict")
        process.kill()
        process.join()
        found.append(one)
        verdict = one.reason if one.difference is None else f"works, {one.difference:.1e}"
        print(f"{name:40} {verdict}", flush=True)
    return found


def _send(name: str, sending: Connection) -> None:
    sending.send(examine(name))


def table(found: Iterable[Finding]) -> str:
    """Return the verdicts as Markdown."""
    lines = ["| model type | class | verdict | exercised with values of their own |", "| --- | --- | --- | --- |"]
    for one in found:
        verdict = f"refused: {one.reason}" if one.difference is None else f"works, {one.difference:.1e}"
        keys = ", ".join(f"`{name}`" for name in one.exercised)
        lines.append(f"| `{one.name}` | {one.model} | {verdict.replace('|', ' ')} | {keys} |")
    return "\n".join(lines)


def written(text: str, found: list[Finding]) -> str:
    """Return the text of a page with a new table between its markers."""
    head, rest = text.split(START)
    tail = rest.split(END)[1]
    works = sum(one.difference is not None for one in found)
    summary = f"Transformers {transformers.__version__}: {works} of {len(found)} work."
    return f"{head}{START}\n\n{summary}\n\n{table(found)}\n\n{END}{tail}"
