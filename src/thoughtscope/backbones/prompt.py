"""How a question becomes a prompt and a text becomes ids. Knows nothing about models.

    <template up to where the assistant speaks>  |  response  EOS
    the question and a newline, without template |  response  EOS

The prompt ends where the template would let the assistant begin, so that a response stands where the model
expects one. What the template says of the date is fixed, so that a prompt is the same tomorrow.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jinja2 import TemplateError

from thoughtscope.errors import UserError

TODAY = datetime(2025, 1, 1)  # the date for templates that print one; ours
FIXED_DATE = (
    "{% macro strftime_now(format) %}{{ format"
    + "".join(f"|replace('%{code}', '{TODAY.strftime('%' + code)}')" for code in "aAbBcdHIjmMpSUwWxXyY")
    + " }}{% endmacro %}"
)


def prompt_ids(tokenizer: Any, question: str, chat: bool, chat_arguments: Mapping[str, Any]) -> list[int]:
    """Return the ids of a question, up to where the response begins.

    Raises:
        UserError: `chat` is set and there is no chat template, or it refuses or loses the question.
    """
    if not chat:
        ids = [int(token) for token in tokenizer.encode(question + "\n")]
        return ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids
    if not tokenizer.chat_template:
        raise UserError("backbone: chat", "the tokenizer has no chat template", "set chat: false")
    text = _apply(tokenizer, question, chat_arguments)
    return [int(token) for token in tokenizer.encode(text, add_special_tokens=False)]  # the template writes BOS itself


def response_ids(tokenizer: Any, text: str) -> list[int]:
    """Return the ids of a piece of a response, nothing added."""
    return [int(token) for token in tokenizer.encode(text, add_special_tokens=False)]


def _apply(tokenizer: Any, question: str, chat_arguments: Mapping[str, Any]) -> str:
    messages = [{"role": "user", "content": question}]
    try:
        template = str(tokenizer.get_chat_template())
        if "strftime_now" in template:
            template = FIXED_DATE + template
        text = tokenizer.apply_chat_template(
            messages, chat_template=template, tokenize=False, add_generation_prompt=True, **chat_arguments
        )
    except (TemplateError, TypeError, ValueError) as error:
        raise UserError(
            "backbone: chat", f"the chat template fails ({error})", "correct chat_arguments, or set chat: false"
        ) from error
    if question.strip() not in text:
        raise UserError("backbone: chat", "the chat template leaves the question out", "set chat: false")
    return str(text)
