"""Builds a small copy of any causal language model: the same class and configuration, few layers, random weights.

Only sizes change; windows, soft caps, multipliers and the kinds of layers and experts stay. Windows become shorter than
the rows of a test, so that a few positions exercise them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

LAYERS, VOCABULARY, CONTEXT, ROW, WINDOW = 4, 64, 64, 16, 4  # ROW: about as long as the rows of a test
HEADS, KEY_HEADS, HEAD = 4, 2, 8
WIDTH, INNER, RANK, EXPERTS = HEADS * HEAD, 48, 8, 4

_NAMES = {
    "hidden_size d_model n_embd dim emb_dim embedding_dim attention_hidden_size embedding_size lru_width": WIDTH,
    "input_embedding_size output_embedding_size word_embed_proj_dim": WIDTH,
    "num_hidden_layers n_layer n_layers num_layers decoder_layers encoder_layers num_blocks": LAYERS,
    "num_decoder_layers num_encoder_layers num_layers_per_stack": LAYERS,
    "num_attention_heads n_head n_heads num_heads attention_heads decoder_attention_heads": HEADS,
    "encoder_attention_heads num_decoder_attention_heads num_encoder_attention_heads": HEADS,
    "swa_num_attention_heads index_n_heads num_query_groups": HEADS,
    "num_key_value_heads num_kv_heads kv_n_heads swa_num_key_value_heads": KEY_HEADS,
    "head_dim kv_channels dim_head d_head v_head_dim qk_head_dim global_head_dim swa_head_dim": HEAD,
    "attention_head_dim attention_head_size linear_head_dim index_head_dim": HEAD,
    "qk_nope_head_dim qk_rope_head_dim rotary_dim": HEAD // 2,
    "intermediate_size ffn_dim decoder_ffn_dim encoder_ffn_dim dff d_inner n_inner ffn_hidden_size dim_ff": INNER,
    "intermediate_size_mlp dense_intermediate_size feed_forward_size moe_intermediate_size": INNER,
    "expert_ffn_hidden_size shared_expert_intermediate_size shared_intermediate_size": INNER,
    "shared_experts_intermediate_size prefix_dense_intermediate_size": INNER,
    "kv_lora_rank q_lora_rank o_lora_rank laurel_rank d_rel router_hidden_size hc_lowrank gated_norm_rank": RANK,
    "hidden_size_per_layer_input": RANK,
    "num_experts num_local_experts n_routed_experts moe_num_experts": EXPERTS,
    "num_experts_per_tok num_experts_per_token moe_topk moe_k top_k_experts": 2,
    "n_group num_expert_group topk_group first_k_dense_replace num_dense_layers o_groups": 1,
    "n_shared_experts num_shared_experts zero_expert_num": 1,
    "vocab_size vocab_size_per_layer_input decoder_vocab_size": VOCABULARY,
    "max_position_embeddings n_positions n_ctx max_seq_len max_target_positions context_length rel_extent": CONTEXT,
    "original_max_position_embeddings": ROW // 2,
    "floor_scale log_scaling_n_floor": WINDOW - 1,
    "sliding_window sliding_window_size window_size attention_window_size": WINDOW,
    "attention_chunk_size local_attention keep_window_size index_topk": WINDOW,
}
SIZES = {name: size for names, size in _NAMES.items() for name in names.split()}
IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}


def shrunk(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a configuration with small sizes; values that are None or 0 stay."""
    depth = next((values[name] for name in SIZES if SIZES[name] == LAYERS and values.get(name)), None)
    made = dict(values)
    for name, value in values.items():
        if name in IDS and value is not None:
            made[name] = IDS[name]
        elif name in SIZES and isinstance(value, int) and value:
            made[name] = min(value, SIZES[name])
        elif isinstance(value, list) and value and len(value) == depth:
            made[name] = _pattern(value)
        elif name == "per_layer_config" and value:
            made[name] = {key: shrunk(one) for key, one in value.items() if int(key) < LAYERS}
        elif isinstance(value, Mapping):
            made[name] = shrunk(value)
    if values.get(
        "qk_rope_head_dim"
    ):  # latent attention: rotary and other part of a head, with the same keys for all heads
        made.update({"head_dim": made["qk_rope_head_dim"], "num_key_value_heads": made["num_attention_heads"]})
    return made


def _pattern(values: list[Any]) -> list[Any]:
    """Return one value for each small layer, with as many different values as possible."""
    kinds = [value for i, value in enumerate(values) if value not in values[:i]]
    return [kinds[i % len(kinds)] for i in range(LAYERS)]


def small_config(config: Any, **changed: Any) -> Any:
    """Return a configuration of the same class with small sizes, and with the values of `changed`."""
    return type(config).from_dict({**shrunk(config.to_dict()), **changed})


def small_model(model_class: Any, config: Any, attention: str, seed: int = 0) -> Any:
    """Return a float32 model of a class and a configuration, in evaluation mode, with random weights.

    Args:
        model_class: a causal LM of Transformers.
        config: a configuration of the wanted size.
        attention: the attention implementation, sdpa or eager.
        seed: decides the weights.
    """
    torch.manual_seed(seed)
    model = model_class._from_config(config, attn_implementation=attention, dtype=torch.float32)
    randomise(model, seed)
    return model.eval()


@torch.no_grad()
def randomise(model: Any, seed: int = 0) -> None:
    """Draw weights so that all parts of a model have an effect: matrices 1/sqrt(inputs), vectors shifted by a tenth."""
    generator = torch.Generator().manual_seed(seed)
    for value in model.parameters():
        noise = torch.randn(value.shape, generator=generator)
        if value.dim() > 1:
            value.copy_(noise * value.shape[-1] ** -0.5)
        else:
            value.add_(0.1 * noise)
    table = getattr(model.get_input_embeddings(), "weight", None)
    if table is not None:
        table.mul_(table.shape[-1] ** 0.5)
