"""Puts data, program and plotting library into one HTML file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def page(data: dict[str, Any]) -> str:
    """Return the page. It loads nothing: plotly's bundle is inside."""
    from plotly.offline import get_plotlyjs

    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    parts = {"STYLE": "page.css", "PROGRAM": "page.js"}
    html = (HERE / "page.html").read_text()
    for name, file in parts.items():
        html = html.replace(f"@{name}@", (HERE / file).read_text())
    bundle: str = get_plotlyjs()
    return html.replace("@DATA@", text).replace("@PLOTLY@", bundle)
