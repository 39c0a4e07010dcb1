"""Extracts text from a row by column names. Missing and nested values are errors, never text."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator

from thoughtscope.errors import UserError
from thoughtscope.tasks.reading import Row

NAMED = 10  # the number of columns that a message lists
BRACES = re.compile(r"\{([^{}]+)\}")


def _braces_close(column: str) -> str:
    if set(BRACES.sub("", column)) & {*"{}"}:
        raise ValueError(f"{column!r}: write each column's name in braces of its own, e.g. '{{Body}} {{Question}}'")
    return column


Column = Annotated[str, AfterValidator(_braces_close)]


def value_of(place: str, row: Row, column: str, key: str) -> Any:
    """Return the value of a column, or the text of a template that contains `{column}`.

    Args:
        place: the row, for messages.
        column: a name or a template.
        key: the setting that names the column, for messages.

    Raises:
        UserError: there is no such column, or a value in a template is no text.
    """
    if "{" in column:
        return BRACES.sub(lambda found: _shown(place, row, found[1], key), column)
    if column not in row:
        there = sorted(map(str, row))
        names = ", ".join(there[:NAMED]) + (", ..." if len(there) > NAMED else "")
        raise UserError(place, f"no column {column!r} for {key}", f"name one of {names}")
    return row[column]


def text_of(place: str, row: Row, column: str, key: str) -> str:
    """Return the text of a column or a template; see `value_of`.

    Raises:
        UserError: there is no such column, or its value is no text; see `as_text`.
    """
    return as_text(f"{place}: {column}", value_of(place, row, column, key))


def as_text(where: str, value: Any) -> str:
    """Return a text, a number or a truth value as text.

    Raises:
        UserError: the value is null, NaN, of another type (such as a list or a mapping), or not valid Unicode.
    """
    if value is None or (isinstance(value, float | Decimal) and not math.isfinite(value)):
        shown = "null" if value is None else str(value)
        raise UserError(where, f"the value is missing ({shown})", "complete or remove the row")
    if not isinstance(value, str | bool | int | float | Decimal):
        raise UserError(where, f"it holds a {type(value).__name__}, not a text", "name a column of texts")
    text = str(value)
    if not text.isascii() and re.search("[\ud800-\udfff]", text):
        raise UserError(where, "it holds half of a surrogate pair, so it is no valid Unicode", "correct the text")
    return text


def choice_labels(row: Row) -> list[str]:
    """Return the labels of a row's choices, which datasets store as `{label: [...], text: [...]}`; [] if none."""
    for value in row.values():
        if isinstance(value, Mapping) and {"label", "text"} <= set(value):
            return [str(label) for label in value["label"]]
    return []


def _shown(place: str, row: Row, column: str, key: str) -> str:
    """Return the text of a column in a template; choices become `(A) first (B) second`."""
    value, where = value_of(place, row, column, key), f"{place}: {column}"
    if not (isinstance(value, Mapping) and {"label", "text"} <= set(value)):
        return as_text(where, value)
    labels, texts = value["label"] or [], value["text"] or []
    if len(labels) != len(texts) or not labels:
        raise UserError(where, f"{len(labels)} labels for {len(texts)} choices", "complete or remove the row")
    return " ".join(f"({as_text(where, a)}) {as_text(where, b)}" for a, b in zip(labels, texts, strict=True))
