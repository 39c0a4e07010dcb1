"""Compares the `facts` in a backbone's file with the loaded model. Facts do not affect training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from thoughtscope.backbones.load import ending_ids
from thoughtscope.backbones.prompt import prompt_ids
from thoughtscope.backbones.settings import Settings
from thoughtscope.latents.attention import SLIDING, attention_windows
from thoughtscope.latents.decoder import context_length


def differences(settings: Settings, model: Any, tokenizer: Any) -> Iterator[str]:
    """Yield a line for each stated fact that differs from the model."""
    facts, found = settings.facts, _found(settings, model, tokenizer)
    for name in sorted(facts.model_fields_set & found.keys()):
        stated = getattr(facts, name)
        if stated != found[name]:
            yield f"facts.{name}: the file says {stated}, the model has {found[name]}"


def _found(settings: Settings, model: Any, tokenizer: Any) -> dict[str, Any]:
    config = model.config.get_text_config()
    ids = {int(one): str(tokenizer.convert_ids_to_tokens(one)) for one in ending_ids(model, tokenizer)}
    first = prompt_ids(tokenizer, "1 + 1 =", settings.chat, settings.chat_arguments)[0]
    starts_with_bos = tokenizer.bos_token_id is not None and first == tokenizer.bos_token_id
    own = int(tokenizer.eos_token_id)
    return {
        "parameters": sum(value.numel() for value in model.parameters()),
        "context": context_length(config),
        "tied_embeddings": model.get_output_embeddings().weight is model.get_input_embeddings().weight,
        "sliding_window": attention_windows(config).get(SLIDING),
        "bos": tokenizer.bos_token if starts_with_bos else None,
        "ends": [ids[own], *sorted(ids[one] for one in ids if one != own)],
    }
