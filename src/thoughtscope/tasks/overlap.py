"""Finds questions of a dataset that are in more than one split. Uses 8-byte hashes to save memory.

Questions are compared without case and punctuation. The length of a partial overlap, thirteen words in a row, is that
of GPT-3's analysis (arXiv 2005.14165).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice

import numpy as np
from numpy.typing import NDArray

WORDS_IN_A_ROW = 13
BATCH = 20_000
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Overlap:
    """Which questions of a split are also in another split; all arrays are ``[questions]``.

    Attributes:
        whole: the whole question is in train.
        part: thirteen words in a row of it are in a question of train.
        validation: the whole question is in validation.
    """

    whole: NDArray[np.bool_]
    part: NDArray[np.bool_]
    validation: NDArray[np.bool_]

    @property
    def counts(self) -> dict[str, int]:
        """The number of questions, and of those that are also in another split."""
        counted = {"whole": self.whole, "in_part": self.part, "in_validation": self.validation}
        return {"questions": len(self.whole), **{name: int(found.sum()) for name, found in counted.items()}}

    @property
    def labels(self) -> list[str | None]:
        """The column `overlap` of `schemas.REASONING`."""
        found = zip(self.whole, self.part, self.validation, strict=True)
        return ["train" if a else "train in part" if b else "validation" if c else None for a, b, c in found]


def overlaps(splits: Mapping[str, Sequence[str]]) -> dict[str, Overlap]:
    """Return for each split except train which questions are also in train, and for test sets, in validation.

    Args:
        splits: the questions of each split, by its name.
    """
    hasher = _Hasher()
    others = {name: hasher.hash(questions) for name, questions in splits.items() if name != "train"}
    whole = _Sought(np.concatenate([one.whole for one in others.values()]))
    pieces = _Sought(np.concatenate([one.pieces for one in others.values()]))
    for batch in _batches(splits.get("train", [])):
        train = hasher.hash(batch)
        whole.seen(train.whole)
        pieces.seen(train.pieces)
    chosen = others["validation"].whole if "validation" in others else np.empty(0, np.uint64)
    found = {}
    for name, one in others.items():
        part = np.bincount(one.owners, pieces.found(one.pieces), minlength=len(one.whole)) > 0
        validation = np.isin(one.whole, chosen) & (name != "validation")
        found[name] = Overlap(whole.found(one.whole), part, validation)
    return found


class _Sought:
    """Records which of the sought hashes occur; other hashes are not stored."""

    def __init__(self, sought: Hashes) -> None:
        self.sought = np.unique(sought)
        self.was_seen = np.zeros(len(self.sought), bool)

    def seen(self, hashes: Hashes) -> None:
        """Record that these hashes occur."""
        if len(self.sought):
            places = np.searchsorted(self.sought, hashes).clip(max=len(self.sought) - 1)
            self.was_seen[places[self.sought[places] == hashes]] = True

    def found(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Return whether each of these hashes, all of them sought, has occurred."""
        return self.was_seen[np.searchsorted(self.sought, hashes)]


@dataclass(frozen=True)
class _Hashed:
    """Hashes of questions ``[questions]`` and of their pieces ``[pieces]``, with the question of each piece."""

    whole: Hashes
    pieces: Hashes
    owners: NDArray[np.int64]


class _Hasher:
    """Hashes questions, with a cache of the hashes of words."""

    def __init__(self) -> None:
        self.words: dict[str, int] = {}

    def hash(self, questions: Sequence[str]) -> _Hashed:
        """Return the hashes of questions and of all their thirteen-word pieces."""
        asked = [re.findall(r"\w+", question.lower()) for question in questions]
        flat = np.array([self._word(word) for words in asked for word in words], np.uint64)
        lengths = np.array([len(words) for words in asked], np.int64)
        owners = np.repeat(np.arange(len(asked)), lengths)
        whole = np.array([_eight_bytes(" ".join(words)) for words in asked], np.uint64)
        if len(flat) < WORDS_IN_A_ROW:
            return _Hashed(whole, flat[:0], owners[:0])
        count = len(flat) - WORDS_IN_A_ROW + 1
        pieces = np.zeros(count, np.uint64)
        for place in range(WORDS_IN_A_ROW):  # a polynomial in the multiplier, modulo 2 ** 64
            pieces = pieces * MULTIPLIER + flat[place : place + count]
        inside = owners[:count] == owners[WORDS_IN_A_ROW - 1 :]
        return _Hashed(whole, pieces[inside], owners[:count][inside])

    def _word(self, word: str) -> int:
        if word not in self.words:
            self.words[word] = _eight_bytes(word)
        return self.words[word]


def _eight_bytes(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _batches(questions: Iterable[str]) -> Iterator[list[str]]:
    left = iter(questions)
    while batch := list(islice(left, BATCH)):
        yield batch
