"""Finds the numbers in a text, exactly, and marks those that have no one reading. Knows nothing of datasets.

A number may have groups of digits (`1,234`, `1 234`, `1_234`, `1,00,000`, `1.234.567`), a sign, a currency, an exponent
of at most three digits, a power of ten, a fraction or a mixed number, a magnitude (`5 million`), and LaTeX around it.
Units and percent signs are left out. A time, a ratio, a range, a date, an expression, a power, a version or `5k` has
no value.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

LONGEST = 2000  # characters of a text that are read
MOST_DIGITS = 400
LIMIT = 10**MOST_DIGITS

DIGITS = r"(?:[1-9]\d{0,2}(?:[ ]\d{3})+(?:\.\d+)?(?![\d,_'\-])(?!\.\d)(?![ ]?/)|\.?\d(?:[\d.,_']*\d)?)"
POWER = r"(?:\^|\*\*)\s?\(?(?P<{}>[+-]?\d+)\)?"
NUMBER = re.compile(
    rf"""(?:(?P<units>\d+)(?:\s+and\s+|\s+))?(?P<top>{DIGITS})\s?/\s?(?P<bottom>{DIGITS})   # 1/2, 1 1/2, 1 and 1/2
       | 10\s?{POWER.format("tens")}                                                        # 10^3
       | (?P<plain>{DIGITS})(?:e(?P<exponent>[+-]?\d+)(?![\d.]\d)                           # 5, 1e3, 2 x 10^3
                              |\s?[x×*·⋅]\s?10\s?{POWER.format("power")})?
    """,
    re.VERBOSE | re.IGNORECASE,
)
GROUPS = re.compile(
    r"""(?P<english>[1-9]\d{0,2}(?:,\d{3})+ | [1-9]\d?(?:,\d{2})+,\d{3} | [1-9]\d{0,2}(?:[ _']\d{3})+ | \d+)?
        (?P<decimals>\.\d+)?
      | (?P<european>[1-9]\d{0,2}(?:\.\d{3})+)(?P<comma>,\d+)?
    """,
    re.VERBOSE,
)
BEFORE = re.compile(
    r"(?:(?P<sign>[-+]+)\s?)?(?:(?:\b(?:US|AU|CA|NZ|HK|[ACR])|(?<![A-Za-z]))[$€£¥₹]+\s?|\b(?:Rs|USD|EUR|GBP)\s?)?"
    r"(?:(?P<inner>[-+]+)\s?)?\Z"
)
NEGATIVE = re.compile(r"\b(?:minus|negative)\s+\Z", re.IGNORECASE)
MAGNITUDE = re.compile(r"\s?(hundred|thousand|million|billion|trillion)s?\b", re.IGNORECASE)
MAGNITUDES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
UNITS = frozenset("ghslcdpLCFWVJN")  # single letters that stand for a unit right after a number, and for nothing else
SHORT = frozenset({*"kKMBTxyzni", "bn", "mn", "mio", "mil", "tn", "pi"})  # magnitudes and variables
PART = re.compile(
    r"[\s-]*(?:and\s+)?(?:an?\s+|one\s+)?(?:hal(?:f|ves)|thirds?|quarters?|fourths?|fifths?|sixths?|eighths?|tenths?"
    r"|hundredths?|dozens?|score|hundred|thousand|[mbtr]+illion|lakhs?|crores?|squared|cubed|factorial|π|pi)\b",
    re.IGNORECASE,
)
OPERATORS = r"\)?[ \t]*(?:(?:[-+*/^~<>≤≥±|×÷·⋅x:]|\bto\b|\bthrough\b|\bby\b|\.\.+)[ \t(]*)+"
JOINED = re.compile(rf"\(|[ \t]*(?:{OPERATORS})?[$€£¥]?[ \t]*[-+]?[ \t]*")
LISTED = re.compile(r"\s*(?:[,;&/]|\b(?:and|or)\b|[ \t])+\s*[$€£¥]?\s*[-+]?\s*", re.IGNORECASE)

NUMERAL = r"(?:-?\s*\d[\d,. ]*)"
LATEX = [
    (re.compile(r"\\(?:text\w*|math\w+|mbox|operatorname)\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"\{\s*,\s*\}"), ","),
    (re.compile(r"\\!"), ""),
    (re.compile(r"\\(?:[,;: ]|q?quad\b|left\b|right\b|[()\[\]])|~"), " "),
    (re.compile(r"\\([$%#&_])"), r"\1"),
    (re.compile(rf"\\[dtc]?frac\s*(?:\{{({NUMERAL})\}}|(\d))\s*(?:\{{({NUMERAL})\}}|(\d))"), r" \1\2/\3\4 "),
    (re.compile(r"\^\s*\{?\s*\\(?:circ|degree)(?![A-Za-z])\s*\}?|\\degree(?![A-Za-z])"), "°"),
    (re.compile(r"\\(?:times|cdot|ast)(?![A-Za-z])"), "*"),
    (re.compile(r"\\pm(?![A-Za-z])"), "±"),
    (re.compile(r"\\(?:approx|sim)(?![A-Za-z])"), "≈"),
    (re.compile(r"([\^_])\{\s*([^{}]*?)\s*\}"), r"\1\2"),
]
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
DASHES = dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d", "-")
SIGNS = str.maketrans(DASHES | {"\u2019": "'", "\u2032": "'", "\u066b": ".", "\u066c": ",", "\u2044": "/"})


@dataclass(frozen=True)
class Number:
    """A number in a text.

    Attributes:
        value: None if it has no one reading.
        end: where it ends in the text that `plain` returned.
        listed: whether another number follows after a comma, `and` or `or` alone.
    """

    value: Fraction | None
    end: int
    listed: bool = False


def plain(text: str) -> str:
    """Return the beginning of `text` with its digits, signs and spaces in ASCII, and without LaTeX or emphasis."""
    text = text[:LONGEST]
    if not text.isascii():
        text = re.sub(r"[¼-¾⅐-⅞↉]", lambda found: f" {unicodedata.normalize('NFKC', found[0])} ", text)
        text = re.sub(r"[⁰¹²³⁴-⁹⁻⁺]+", lambda found: "^" + found[0].translate(SUPERSCRIPTS), text)
        text = re.sub(r"[₀-₉]+", lambda found: f"_{found[0]}", text)
        text = unicodedata.normalize("NFKC", text).translate(SIGNS)
        text = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)
    if "\\" in text or "{" in text:
        for pattern, replacement in LATEX:
            text = pattern.sub(replacement, text)
    text = re.sub(r"[{}]|[=-]+>|→|⇒|(?<=\bRs)\.", " ", text)
    return re.sub(r"(?<![\d)])\*\*|\*\*(?!\s?\(?[+-]?\d)", " ", text)


def numbers(text: str) -> Iterator[Number]:
    """Yield the numbers of a text that `plain` returned, in their order."""
    found = [one for one in NUMBER.finditer(text) if not _in_a_word(text, one.start())]
    joined = [False, *(_joined(text, a, b) for a, b in pairwise(found)), False]
    for i, one in enumerate(found):
        between = text[one.end() : found[i + 1].start()] if i + 1 < len(found) else "?"
        listed = len(between) < 20 and LISTED.fullmatch(between) is not None
        broken = joined[i] or joined[i + 1]
        yield Number(None if broken else _value(text, one), one.end(), listed)


def written(value: Fraction) -> str:
    """Write a number as an integer or a finite decimal, else as a fraction."""
    places, rest = 0, value.denominator
    for prime in (2, 5):
        power = 0
        while rest % prime == 0:
            rest, power = rest // prime, power + 1
        places = max(places, power)
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    digits = str(abs(int(value * 10**places))).rjust(places + 1, "0")
    whole = digits[: len(digits) - places]
    return ("-" if value < 0 else "") + (f"{whole}.{digits[-places:]}" if places else whole)


def _in_a_word(text: str, start: int) -> bool:
    """Return whether digits belong to a word or a unit, as in `H2O` and `m^2`."""
    before = text[max(0, start - 4) : start]
    unit = re.search(r"[^\W\d_]\^[-+]?\Z", before) is not None  # the 2 of m^2
    return unit or (before[-1:].isalpha() and not re.search(r"\b(?:Rs|USD|EUR|GBP)\Z", before))


def _joined(text: str, one: re.Match[str], other: re.Match[str]) -> bool:
    """Return whether two numbers are parts of one expression: a time, a range, a date, a sum, two in a row."""
    between = text[one.end() : other.start()]
    return len(between) < 20 and "\n" not in between and JOINED.fullmatch(between) is not None


def _value(text: str, found: re.Match[str]) -> Fraction | None:
    """Return what a number is, or None if what stands around it leaves that open."""
    sign, after = _sign(text, found.start()), text[found.end() : found.end() + 40]
    value = _read(found)
    if sign is None or value is None or "\\" in text[: found.end() + 1]:
        return None
    if magnitude := MAGNITUDE.match(after):
        value, after = value * 10 ** MAGNITUDES[magnitude[1].lower()], after[magnitude.end() :]
    suffix = re.match(r"( ?)([^\W\d_]*)(.?)", after)
    space, letters, follows = suffix.groups() if suffix else ("", "", "")
    unclear = (
        max(abs(value.numerator), value.denominator) >= LIMIT
        or (len(letters) == 1 and not space and letters not in UNITS)
        or letters in SHORT
        or (bool(letters) and not space and (follows.isdecimal() or follows == "_"))
        or re.match(r"[\^_]|\+(?!\d)", after) is not None
        or PART.match(after) is not None
    )
    return None if unclear else sign * value


def _sign(text: str, start: int) -> int | None:
    """Return 1 or -1, or None if what stands before a number may or may not be its sign."""
    before = text[max(0, start - 24) : start]
    if NEGATIVE.search(before):
        return -1
    found = BEFORE.search(before)
    signs = (found["sign"] or "") + (found["inner"] or "") if found else ""
    ahead = before[: found.start()] if found else before
    if ahead.rstrip()[-1:] in {*"<>≤≥±√π^_"}:
        return None
    if ahead[-1:].isalnum() and (signs or text[start] == "."):  # covid-19, No.5
        return None
    apart = bool(signs) and bool(ahead.strip()) and text[start - 1 : start].isspace() and ahead.strip()[-1] not in "=:("
    return None if len(signs) > 1 or apart else (-1 if signs == "-" else 1)


def _read(found: re.Match[str]) -> Fraction | None:
    if found["tens"]:
        return _power(found["tens"])
    if found["plain"]:
        value, power = _grouped(found["plain"]), _power(found["exponent"] or found["power"] or "0")
        return None if value is None or power is None else value * power
    top, bottom = _grouped(found["top"]), _grouped(found["bottom"])
    if top is None or not bottom or len(found["units"] or "") > MOST_DIGITS:
        return None
    if found["units"] and top >= bottom:
        return None
    return int(found["units"] or 0) + top / bottom


def _power(exponent: str) -> Fraction | None:
    return Fraction(10) ** int(exponent) if len(exponent.lstrip("+-")) <= 3 else None


def _grouped(digits: str) -> Fraction | None:
    """Return what groups of digits are, or None if they are no number: `1,5`, `52_8`, `1.2.3`."""
    found = GROUPS.fullmatch(digits)
    if found is None or len(digits) > MOST_DIGITS:
        return None
    if found["european"] and not (found["english"] or found["decimals"]):
        return Fraction(found["european"].replace(".", "") + (found["comma"] or "").replace(",", "."))
    return Fraction(re.sub(r"[,_' ]", "", found["english"] or "0") + (found["decimals"] or ""))
