"""The report has a caption of its own for every kind of figure and every table."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import jinja2
import pytest

from thoughtscope.figures.settings import OPTIONS

REPORT = Path(__file__).parents[2] / "workflow/report"
TABLES = ["summary", "curves", "benchmark", "collapse", "separation", "probes", "activity"]


def caption(file: str, name: str, kind: str = "") -> str:
    """Return a caption as Snakemake renders it."""
    told = SimpleNamespace(wildcards=SimpleNamespace(name=name), params=SimpleNamespace(kind={"kind": kind}))
    return jinja2.Template((REPORT / file).read_text()).render(snakemake=told)


@pytest.mark.parametrize("kind", OPTIONS)
def test_every_kind_of_figure_has_a_caption(kind: str) -> None:
    text = caption("figure.rst", "mine", kind)
    assert "A figure of kind" not in text
    assert len(text) > 200
    assert "``mine.csv``" in text


def test_an_unknown_kind_gets_the_general_caption() -> None:
    assert "A figure of kind other." in caption("figure.rst", "mine", "other")
    assert caption("table.rst", "other").startswith("The table other.")


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_a_caption(name: str) -> None:
    text = caption("table.rst", name)
    assert not text.startswith("The table")
    assert len(text) > 80


@pytest.mark.parametrize("kind", ["accuracy_backbones", "accuracy_live_frozen"])
def test_captions_of_accuracy_figures_say_what_lines_and_bands_are(kind: str) -> None:
    text = " ".join(caption("figure.rst", "mine", kind).split())
    for claim in ("layout of the method's last stage", "from the lowest to the highest seed", "where a stage ends"):
        assert claim in text
    assert "pooled" not in text
