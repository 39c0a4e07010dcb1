"""Small tokenizers of every kind that causal language models come with, trained on a few lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

LINES = [
    "3 * 2 + 4 = 6 ; #### 5", "the end </s> of <s> a text", "a <think> b </think> c", "<|im_start|> user <|im_end|>",
    "<thinking> hm </thinking>", "def f(x):\n    return x\n\n", "some words, and numbers 12345.67 more words",
]  # fmt: skip
SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
THINK = [AddedToken("<think>", special=False, normalized=False), AddedToken("</think>", special=False)]
CHAT = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n\n</think>\n{% endif %}"
)


def byte_level(ignore_merges: bool = False) -> Tokenizer:
    """As GPT-2, Qwen and Llama 3 have it; `ignore_merges` takes a word of the vocabulary whole, as Llama 3 does."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    _train_bpe(tokenizer, [], pre_tokenizers.ByteLevel.alphabet())
    return tokenizer


def metaspace(scheme: str = "first") -> Tokenizer:
    """As Llama 2, Mistral and Gemma have it: pieces that carry their space, bytes for unknown characters."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    pieces = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if scheme == "normalizer":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    tokenizer.decoder = decoders.Sequence(pieces)
    _train_bpe(tokenizer, [f"<0x{i:02X}>" for i in range(256)], [])
    return tokenizer


def unigram() -> Tokenizer:
    """A SentencePiece unigram model, whose search would find a spelled control token in its vocabulary."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="never")
    trainer = trainers.UnigramTrainer(
        vocab_size=400, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False,
        initial_alphabet=list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789<>/|_ .,:;()[]{}*+=#é\n"),
    )  # fmt: skip
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer


def word_level() -> Tokenizer:
    """Whole words, as models of toy tasks have them."""
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator(LINES, trainers.WordLevelTrainer(special_tokens=SPECIAL, show_progress=False))
    return tokenizer


def _train_bpe(tokenizer: Tokenizer, further: list[str], alphabet: list[str]) -> None:
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=SPECIAL + further, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(LINES * 3, trainer)


KINDS: dict[str, Callable[[], Tokenizer]] = {
    "byte-level": byte_level,
    "byte-level, whole words": lambda: byte_level(ignore_merges=True),
    "metaspace, first": lambda: metaspace("first"),
    "metaspace, always": lambda: metaspace("always"),
    "metaspace, never": lambda: metaspace("never"),
    "metaspace, normaliser": lambda: metaspace("normalizer"),
    "unigram": unigram,
    "word level": word_level,
}
LOSSLESS = [kind for kind in KINDS if kind.startswith(("byte-level", "metaspace, never"))]


def make(kind: str) -> Any:
    """Return a tokenizer of a kind with a chat template, BOS, and two added tokens that are not special."""
    tokenizer = KINDS[kind]()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", chat_template=CHAT
    )
    made.add_tokens(THINK)
    return made
