"""Builds tiny backbones: the Transformers class of a family with small sizes and suitable initial scales."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from thoughtscope.backbones.settings import Settings
from thoughtscope.errors import UserError

BIAS_STD = 0.02


def build_tiny(settings: Settings, tokenizer: Any, seed: int, where: str = "backbone") -> Any:
    """Build a model of `settings.model_type` for a tokenizer, its weights initialised at random from `seed`.

    Raises:
        UserError: Transformers knows no such model type, or its configuration or class refuses an argument.
    """
    try:
        config = AutoConfig.for_model(
            settings.model_type,
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            **settings.config,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{where}: config", str(error).splitlines()[0], "correct model_type or config") from error
    torch.manual_seed(seed)
    try:
        model = AutoModelForCausalLM.from_config(config, attn_implementation=settings.attention)
    except (
        Exception
    ) as error:  # a class may raise any exception for sizes or an attention implementation that it does not support
        fix = "set attention: eager" if "does not support an attention" in str(error) else "correct config"
        raise UserError(f"{where}: config", f"{settings.model_type}: {str(error).splitlines()[0]}", fix) from error
    initialise(model, settings.embedding_std)
    return model


@torch.no_grad()
def initialise(model: Any, embedding_std: float) -> None:
    """Set the initial scales: matrices 1/sqrt(inputs), embeddings so that their module's output has `embedding_std`.

    Biases start at random with `BIAS_STD`. Classes set them to zero, so a family with biases would otherwise start like
    one without. An untied output head starts as the embeddings, scaled to 1/sqrt(width); at this size it learns the
    first task several times faster than from random values. Norms keep the values of the class.
    """
    embedding = model.get_input_embeddings()
    head = model.get_output_embeddings()
    for module in model.modules():
        if isinstance(module, nn.Linear) and module is not head:
            module.weight.normal_(0, module.in_features**-0.5)
            if module.bias is not None:
                module.bias.normal_(0, BIAS_STD)
    scale = float(getattr(embedding, "embed_scale", torch.ones(())))
    embedding.weight.normal_(0, embedding_std / scale)
    if head.weight is not embedding.weight:
        width = embedding.weight.shape[1]
        head.weight.copy_(embedding.weight * (scale / embedding_std * width**-0.5))
