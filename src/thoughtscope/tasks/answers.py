"""Reads the answer out of a response or a dataset's gold text, in one canonical form."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

AnswerFormat = Literal["text", "number", "choice", "boolean"]

BOXED = re.compile(r"\\boxed\{([^{}]*)\}")
SAID = re.compile(r"\banswer\b\s*(?:is|:|=)?\s*:?\s*(.+)", re.IGNORECASE)
NUMBER = re.compile(
    r"""(?<![\w.])                      # not inside a word or a longer number
        ([-\u2212]?)\s?[$€£¥]?\s?([-\u2212]?)    # sign and currency in either order
        (\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)
        (e[+-]?\d+)?                    # exponent
        (?:\s?/\s?(\d+(?:\.\d+)?))?     # divisor
    """,
    re.VERBOSE | re.IGNORECASE,
)
BOOLEANS = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}


def extract(text: str, form: AnswerFormat) -> str | None:
    """Return the answer in `text` in canonical form, or None if there is none.

    Looked for after `####`, in a box, after the word answer, then anywhere; of several numbers the last counts,
    of choices and booleans the first.
    """
    for part in _parts(text):
        found = READERS[form](part)
        if found is not None:
            return found
    return None


def _parts(text: str) -> list[str]:
    """Return where an answer may stand, most certain place first."""
    marked = text.rpartition("####")
    boxed, said = BOXED.findall(text), SAID.findall(text)
    found = [marked[2]] if marked[1] else []
    return [*found, *boxed[-1:], *said[-1:], *([] if marked[1] else [text])]


def _text(part: str) -> str | None:
    return " ".join(part.split()).removesuffix(".").strip() or None


def _number(part: str) -> str | None:
    found = NUMBER.findall(part)
    if not found:
        return None
    before, after, digits, exponent, divisor = found[-1]
    value = Fraction(digits.replace(",", "") + exponent)
    if divisor:
        if not Fraction(divisor):
            return None
        value /= Fraction(divisor)
    return _written(-value if before or after else value)


def _written(value: Fraction) -> str:
    """Write a number as an integer or a finite decimal, else as a fraction."""
    if value.denominator == 1:
        return str(value.numerator)
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    places = 0
    while (value * 10**places).denominator != 1:
        places += 1
    digits = str(abs(int(value * 10**places))).rjust(places + 1, "0")
    return ("-" if value < 0 else "") + f"{digits[:-places]}.{digits[-places:]}"


def _choice(part: str) -> str | None:
    stripped = part.strip()
    if len(stripped) == 1:
        return stripped.upper() if stripped.upper() in "ABCDE" else None
    marked = re.search(r"\(([A-Ea-e])\)", part) or re.search(r"(?<![A-Za-z])([A-Ea-e])[).:](?:\s|$)", part)
    plain = re.search(r"(?<![A-Za-z'])([B-E])(?![A-Za-z'])", part) or re.match(r"\s*([A-Ea-e])\s*$", part)
    found = marked or plain
    return found.group(1).upper() if found else None


def _boolean(part: str) -> str | None:
    found = re.search(r"\b(yes|no|true|false)\b", part, re.IGNORECASE)
    return BOOLEANS[found.group(1).lower()] if found else None


READERS = {"text": _text, "number": _number, "choice": _choice, "boolean": _boolean}
