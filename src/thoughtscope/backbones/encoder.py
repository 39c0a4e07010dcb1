"""Encodes text so that only a chat template can produce control tokens; in other text, their spelling is ordinary text.

A fast tokenizer recognises its added tokens (`<|im_end|>`, `</s>`, `<think>`, the tokens of a method) wherever their
spelling occurs, even in a question. The encoder is a copy of the tokenizer in which every control token is renamed to
characters that no text contains. Everything else (normaliser, pre-tokeniser, model, post-processor) is the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from tokenizers import Tokenizer

# Unicode noncharacters, which programs do not exchange
MARK, MARK_END, ESCAPE, ESCAPE_END = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3"
RESERVED = str.maketrans(dict.fromkeys((MARK, MARK_END, ESCAPE, ESCAPE_END), "\ufffd"))
ESCAPED = re.compile(f"{ESCAPE}([0-9]+){ESCAPE_END}")
BRACKETED = re.compile(r"\s*[<\[{(|].+[>\]})|]\s*")
BYTE = re.compile(r"<0x[0-9A-F]{2}>")
LETTER = re.compile(r"[^\W\d_]")


class TextEncoder:
    """Encodes text with a tokenizer in its present state.

    Args:
        tokenizer: a fast Transformers tokenizer.

    Attributes:
        control: the id of each control token, by its spelling.
    """

    def __init__(self, tokenizer: Any) -> None:
        state = json.loads(tokenizer.backend_tokenizer.to_str())
        _unlist_bytes(state)
        control = [one for one in state["added_tokens"] if not is_text(one["content"], one["special"])]
        self.control: dict[str, int] = {one["content"]: one["id"] for one in control}
        self._dependent = any(one["single_word"] or (one["normalized"] and state["normalizer"]) for one in control)
        self._spellings = list(self.control)
        self._numbers = {one: i for i, one in enumerate(self._spellings)}
        self._pattern = _pattern(self._spellings, {one["content"] for one in control if one["single_word"]})
        self._marks = {one: f"{MARK}{i}{MARK_END}" for i, one in enumerate(self._spellings)}
        _rename(state, self._marks)
        self._tokenizer = Tokenizer.from_str(json.dumps(state))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        """Return the ids of a text; with `add_special_tokens`, including those of the post-processor, such as BOS."""
        return self._ids(text.translate(RESERVED), add_special_tokens)

    def escape(self, text: str) -> str:
        """Return a text for a chat template, in which spellings of control tokens are escaped for `encode_chat`."""
        return self._replace(text.translate(RESERVED), lambda match: f"{ESCAPE}{self._numbers[match[0]]}{ESCAPE_END}")

    def encode_chat(self, tokenizer: Any, rendered: str) -> list[int]:
        """Return the ids of a rendered chat template: its own control tokens are tokens, escaped ones are text.

        Args:
            tokenizer: decides which spellings of the template are tokens, which may depend on the text around them.
        """
        spans = self._found(tokenizer, rendered) if self._dependent else [(0, len(rendered))]

        def mark(match: re.Match[str]) -> str:
            known = any(begin <= match.start() and match.end() <= end for begin, end in spans)
            return self._marks[match[0]] if known else match[0]

        marked = self._replace(rendered, mark)
        return self._ids(ESCAPED.sub(lambda match: self._spellings[int(match[1])], marked), False)

    def _found(self, tokenizer: Any, text: str) -> list[tuple[int, int]]:
        """Return the (start, end) of each control token that the tokenizer itself finds in a text."""
        whole = tokenizer(text, add_special_tokens=False, split_special_tokens=False, return_offsets_mapping=True)
        own = set(self.control.values())
        return [span for one, span in zip(whole["input_ids"], whole["offset_mapping"], strict=True) if one in own]

    def spelled(self, text: str) -> set[str]:
        """Return the control tokens whose spelling occurs in a text."""
        return set(self._pattern.findall(text)) if self._pattern else set()

    def _replace(self, text: str, change: Callable[[re.Match[str]], str]) -> str:
        return self._pattern.sub(change, text) if self._pattern else text

    def _ids(self, text: str, add_special_tokens: bool) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=add_special_tokens).ids)


def text_ids(tokenizer: Any) -> set[int]:
    """Return the ids that text can have: all except control tokens."""
    added = tokenizer.added_tokens_decoder.items()
    control = {number for number, token in added if not is_text(token.content, token.special)}
    return set(tokenizer.get_vocab().values()) - control


def encoder_of(tokenizer: Any) -> TextEncoder:
    """Return the encoder of a tokenizer, built at its first use."""
    if tokenizer not in _ENCODERS:
        _ENCODERS[tokenizer] = TextEncoder(tokenizer)
    return _ENCODERS[tokenizer]


def add_control_tokens(tokenizer: Any, tokens: Iterable[str]) -> None:
    """Add special tokens to a tokenizer and to its encoder."""
    tokenizer.add_tokens(list(tokens), special_tokens=True)
    _ENCODERS.pop(tokenizer, None)


_ENCODERS: WeakKeyDictionary[Any, TextEncoder] = WeakKeyDictionary()


def is_text(content: str, special: bool) -> bool:
    """Return whether an added token is ordinary text.

    White space is text (Gemma and GPT-NeoX list runs of it as added tokens), and so are numbers and operators that are
    not special. Special tokens, words and anything in brackets are control tokens.
    """
    if _is_blank(content):
        return True
    return not special and not LETTER.search(content) and not BRACKETED.fullmatch(content)


def _is_blank(content: str) -> bool:
    return not content.replace("▁", " ").strip()


def _pattern(spellings: list[str], whole_words: set[str]) -> re.Pattern[str] | None:
    """Return a pattern that matches the longest spelling at each position, like `tokenizers`; None: no spellings."""
    longest_first = sorted(spellings, key=len, reverse=True)
    parts = [rf"(?<!\w){re.escape(one)}(?!\w)" if one in whole_words else re.escape(one) for one in longest_first]
    return re.compile("|".join(parts)) if parts else None


def _unlist_bytes(state: dict[str, Any]) -> None:
    """Remove the tokens of single bytes from the added tokens; the model finds them by name."""
    if state["model"].get("byte_fallback"):
        state["added_tokens"] = [one for one in state["added_tokens"] if not BYTE.fullmatch(one["content"])]


def _rename(state: dict[str, Any], names: Mapping[str, str]) -> None:
    """Rename tokens in a serialised tokenizer in place, and remove the merges that produce them."""
    for token in state["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    model = state["model"]
    if isinstance(model["vocab"], dict):
        model["vocab"] = {names.get(piece, piece): number for piece, number in model["vocab"].items()}
    else:
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in model["vocab"]]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    if "merges" in model:
        prefix = len(model.get("continuing_subword_prefix") or "")
        pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
        model["merges"] = [[a, b] for a, b in pairs if not {a, b, a + b[prefix:]} & names.keys()]
