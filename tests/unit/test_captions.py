"""The report shows the caption of each kind of probe, table and figure, and changing one reruns nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import jinja2
import pytest

from thoughtscope.figures.base import Figure
from thoughtscope.kind import Kind
from thoughtscope.probes.base import Probe
from thoughtscope.tables.base import Table
from workflow.lib.params import Caption, group
from workflow.lib.sources import read

REPORT = Path(__file__).parents[2] / "workflow/report"
KINDS = [*Probe.all().values(), *Table.all().values(), *Figure.all().values()]


def shown(file: str, kind: type[Kind]) -> str:
    """Return a caption as Snakemake renders it."""
    params = SimpleNamespace(caption=Caption(kind.caption()))
    job = SimpleNamespace(wildcards=SimpleNamespace(name="mine"), params=params)
    return jinja2.Template((REPORT / file).read_text()).render(snakemake=job)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__module__)
def test_every_kind_has_a_caption(kind: type[Kind]) -> None:
    assert len(kind.caption()) > 80
    assert shown("table.rst", kind).strip() == kind.caption()
    assert "``mine.csv``" in shown("figure.rst", kind)


@pytest.mark.parametrize("kind", ["accuracy_backbones", "accuracy_live_frozen"])
def test_captions_of_accuracy_figures_say_what_lines_and_bands_are(kind: str) -> None:
    text = " ".join(Figure.all()[kind].caption().split())
    for claim in ("layout of the method's last stage", "from the lowest to the highest seed", "where a stage ends"):
        assert claim in text


def test_a_caption_is_nothing_to_the_program_and_to_the_digest_of_its_module(tmp_path: Path) -> None:
    assert str(Caption("one")) == str(Caption("other")) == str(group())
    texts = [f'class A:\n    CAPTION = """{text}"""\n    x = {x}\n' for text, x in (("a", 1), ("b", 1), ("a", 2))]
    for number, text in enumerate(texts):
        (tmp_path / str(number)).write_text(text)
    digests = [read(tmp_path / str(number)).digest for number in range(3)]
    assert digests[0] == digests[1] != digests[2]
