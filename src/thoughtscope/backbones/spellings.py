"""Counts the rows of a task that contain the spelling of a control token of a backbone. It is read as text.

A literal `<thinking>` or `</s>` in the data is usually a remnant of another model's output.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from thoughtscope.backbones.encoder import encoder_of

SPELLINGS, SHOWN = "spellings.json", 5
FIELDS = ("question", "steps", "answer", "response")


def spellings(tokenizer: Any, rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return, for each control token that rows spell, the number of such rows and the ids of the first ones."""
    encoder = encoder_of(tokenizer)
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        for token in encoder.spelled("\n".join(_texts(row))):
            entry = found.setdefault(token, {"rows": 0, "examples": []})
            entry["rows"] += 1
            if len(entry["examples"]) < SHOWN:
                entry["examples"].append(row["example_id"])
    return found


def notes(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for each control token that rows spell."""
    return [
        f"note: {entry['rows']} rows spell {token!r}, a token of this model; it is read as text: "
        + ", ".join(entry["examples"]) + (" ..." if entry["rows"] > len(entry["examples"]) else "")
        for token, entry in sorted(found.items())
    ]  # fmt: skip


def _texts(row: Mapping[str, Any]) -> Iterable[str]:
    for field in FIELDS:
        value = row.get(field) or ""
        yield from [value] if isinstance(value, str) else value
