"""Compares the tokenizer in use with tokenizer.json and with the one of `AutoTokenizer`, on a set of texts.

Run once, when a backbone is built; the result is recorded in the backbone's artifact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer
from transformers.integrations.mistral.tokenizer import MistralConverter

from thoughtscope.backbones.folder import Place, find, read_json
from thoughtscope.backbones.load import TOKENIZER, from_place, load_tokenizer
from thoughtscope.backbones.prompt import response_ids
from thoughtscope.errors import UserError
from thoughtscope.hub import first_line

RECORD, TEKKEN = "tokenizer_check.json", "tekken.json"
FIX = "fix_mistral_regex"
TEXTS = (
    "3 * 2 + 4 = 6 ; #### 5",
    "12345 67,890.12 -7/8 1e10 ٣٤ ½ x²",
    " leading, trailing  and   many spaces ",
    "lines\nand\n\nmore\r\n\tindented\n        code",
    "def f(x):\n    return x[1:] != {'a': \"b\"}  # TODO",
    "Don't we'll THEY'VE camelCase snake_case HTMLParser",
    "naïve Ångström ﬁne e\u0301 Straße ΑΒΓ привет שלום 你好，世界 こんにちは 한국어 ไทย",
    "😀👩‍👩‍👧 \u00a0\u200b\ufeff\u2028",
    r"\boxed{\frac{1}{2}} $x^2$ https://example.org/?a=1&b=2",
    "<<3*2=6>> <b>bold</b> [x] |y| {z}",
)


def compare(folder: Path) -> dict[str, Any]:
    """Return the comparison of the tokenizers of a backbone's folder.

    Keys: `file` (None: there is no tokenizer.json), `used` and `auto_tokenizer` (their classes), `tokens` and `texts`
    (their numbers), and an entry of `differs_from_file` or `differs_from_auto_tokenizer` for each text that is encoded
    differently.

    Raises:
        UserError: the tokenizer does not load, tokenizer_config.json and tokenizer.json give a token different ids, or
            Mistral's tekken.json encodes text differently.
    """
    place, used = find(folder), load_tokenizer(folder)
    path = place.file(TOKENIZER)
    described = None if path is None else Tokenizer.from_file(str(path))
    if described is not None:
        _check_special(place, used, described)
        _check_tekken(place, used)
    texts = [*TEXTS, *_markup(used)]
    found: dict[str, Any] = {
        "file": None if path is None else TOKENIZER,
        "used": type(used).__name__,
        "tokens": len(used),
        "texts": len(texts),
        "differs_from_file": [] if described is None else list(_differences(texts, used, described, "file")),
    }
    try:
        auto = from_place(AutoTokenizer, place)
    except UserError as error:
        return {**found, "auto_tokenizer": first_line(error), "differs_from_auto_tokenizer": []}
    differences = list(_differences(texts, used, auto.backend_tokenizer, "auto_tokenizer")) if auto.is_fast else []
    return {**found, "auto_tokenizer": type(auto).__name__, "differs_from_auto_tokenizer": differences}


def notes(found: dict[str, Any]) -> Iterator[str]:
    """Yield a line for the log for each difference in a comparison."""
    for other, name in (("file", TOKENIZER), ("auto_tokenizer", f"AutoTokenizer ({found['auto_tokenizer']})")):
        differences = found[f"differs_from_{other}"]
        if differences:
            first = differences[0]
            yield (
                f"{name} encodes {len(differences)} of {found['texts']} texts differently, "
                f"{first['text']!r} as {first[other]}; used: {first['used']}"
            )


def _differences(texts: Iterable[str], used: Any, other: Tokenizer, name: str) -> Iterator[dict[str, Any]]:
    """Yield the texts that two tokenizers encode differently, with their tokens."""
    other.no_truncation()
    other.no_padding()
    for text in texts:
        ours, theirs = used.backend_tokenizer.encode(text), other.encode(text)
        if ours.ids != theirs.ids:
            yield {"text": text, "used": ours.tokens, name: theirs.tokens}


def _markup(tokenizer: Any, most: int = 64) -> list[str]:
    """Return texts around the first and the last added tokens."""
    spellings = [token.content for _, token in sorted(tokenizer.added_tokens_decoder.items())]
    return [f"a {one} 1{one}b" for one in (*spellings[: most // 2], *spellings[-most // 2 :])]


def _check_special(place: Place, used: Any, described: Tokenizer) -> None:
    stated = (read_json(place, "tokenizer_config.json") or {}).get("added_tokens_decoder") or {}
    if described.token_to_id(used.eos_token) is None and str(used.eos_token_id) not in stated:
        raise UserError(
            f"{place.name}/tokenizer_config.json: eos_token",
            f"{TOKENIZER} has no token {used.eos_token!r}",
            "correct it",
        )
    for number, token in stated.items():
        content = token["content"] if isinstance(token, dict) else str(token)
        there = described.token_to_id(content)
        if there is not None and there != int(number):
            raise UserError(
                f"{place.name}/tokenizer_config.json: added_tokens_decoder",
                f"{content!r} has id {number}, in {TOKENIZER} it has {there}",
                "take both files from one model, or correct the id",
            )  # fmt: skip


def _check_tekken(place: Place, used: Any) -> None:
    """Refuse a folder whose tekken.json and tokenizer.json disagree, unless its settings choose tokenizer.json."""
    path = place.file(TEKKEN)
    chosen = (read_json(place, "tokenizer_config.json") or {}).get(FIX)
    if path is None or chosen is False:
        return
    try:
        tekken = MistralConverter(str(path)).converted()
    except Exception as error:
        raise UserError(f"{place.name}/{TEKKEN}", f"it does not load ({first_line(error)})", "remove it") from error
    for text in TEXTS:
        if response_ids(used, text) != tekken.encode(text, add_special_tokens=False).ids:
            choice = f"false for the tokens of {TOKENIZER}" + ("" if chosen else f", true for those of {TEKKEN}")
            raise UserError(
                f"{place.name}/tokenizer_config.json: {FIX}",
                f"{TOKENIZER} and {TEKKEN} encode {text!r} differently",
                f"set it to {choice}",
            )
