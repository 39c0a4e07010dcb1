"""How a question becomes a prompt and a text becomes ids. Knows nothing about models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thoughtscope.errors import UserError


def prompt_ids(tokenizer: Any, question: str, chat: bool, chat_arguments: Mapping[str, Any]) -> list[int]:
    """Return the ids of a question, up to where the response begins.

    Raises:
        UserError: `chat` is set and the tokenizer has no chat template.
    """
    if not chat:
        return [int(token) for token in tokenizer.encode(question)]
    if not tokenizer.chat_template:
        raise UserError("backbone: chat", "the tokenizer has no chat template", "set chat: false")
    messages = [{"role": "user", "content": question}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **chat_arguments)
    return [int(token) for token in tokenizer.encode(text, add_special_tokens=False)]


def response_ids(tokenizer: Any, text: str) -> list[int]:
    """Return the ids of a piece of a response, nothing added."""
    return [int(token) for token in tokenizer.encode(text, add_special_tokens=False)]
