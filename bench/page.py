"""Writes tables into docs/benchmarks.md, between `<!-- bench: NAME -->` and `<!-- end -->`."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs/benchmarks.md"


def fill(name: str, text: str) -> None:
    """Replace what stands between the marks of `name`."""
    page = PAGE.read_text()
    marked = re.compile(rf"<!-- bench: {name} -->\n.*?<!-- end -->", re.DOTALL)
    if not marked.search(page):
        raise SystemExit(f"{PAGE}: no place for {name}; add <!-- bench: {name} --> and <!-- end -->")
    PAGE.write_text(marked.sub(lambda _: f"<!-- bench: {name} -->\n\n{text}\n\n<!-- end -->", page))
