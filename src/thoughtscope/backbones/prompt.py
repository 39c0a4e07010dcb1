"""Turns questions into prompts, responses into token ids, and ids into text.

    chat template up to the assistant's turn     |  response  EOS
    without template: the question and a newline |  response  EOS

The prompt ends where the assistant's turn starts, so that the response is where the model expects it. Control tokens
that are spelled in a question (`</s>`, `<|im_start|>`) remain text, even inside a template. A template that asks for
the date gets a fixed one, so that prompts do not change over time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from thoughtscope.backbones.encoder import encoder_of
from thoughtscope.errors import UserError
from thoughtscope.hub import first_line

TODAY = datetime(2025, 1, 1)  # the date for templates that print one
FIXED_DATE = (
    "{% macro strftime_now(format) %}{{ format"
    + "".join(f"|replace('%{code}', '{TODAY.strftime('%' + code)}')" for code in "aAbBcdHIjmMpSUwWxXyY")
    + " }}{% endmacro %}"
)


def prompt_ids(tokenizer: Any, question: str, chat: bool, chat_arguments: Mapping[str, Any]) -> list[int]:
    """Return the ids of the prompt for a question.

    Raises:
        UserError: `chat` is set and there is no chat template, or the template fails or omits the question.
    """
    encoder = encoder_of(tokenizer)
    if not chat:
        ids = encoder.encode(question + "\n", add_special_tokens=True)
        return ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids
    if not tokenizer.chat_template:
        raise UserError("backbone: chat", "the tokenizer has no chat template", "set chat: false")
    rendered = _apply(tokenizer, encoder.escape(question), chat_arguments)  # the template writes BOS itself
    return encoder.encode_chat(tokenizer, rendered)


def response_ids(tokenizer: Any, text: str) -> list[int]:
    """Return the ids of a part of a response, without special tokens."""
    return encoder_of(tokenizer).encode(text)


def decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    """Return the exact text of `ids`, with the spelling of control tokens and with spaces before punctuation."""
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def _apply(tokenizer: Any, question: str, chat_arguments: Mapping[str, Any]) -> str:
    messages = [{"role": "user", "content": question}]
    try:
        template = str(tokenizer.get_chat_template())
        if "strftime_now" in template:
            template = FIXED_DATE + template
        text = tokenizer.apply_chat_template(
            messages, chat_template=template, tokenize=False, add_generation_prompt=True, **chat_arguments
        )
    except Exception as error:  # a template is a program, which may raise any exception
        raise UserError(
            "backbone: chat",
            f"the chat template fails ({first_line(error)})",
            "correct chat_arguments, or set chat: false",
        ) from error
    if question.strip() not in text:
        raise UserError("backbone: chat", "the chat template leaves the question out", "set chat: false")
    return str(text)
