"""The series of each figure: their labels, order and looks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from thoughtscope.config.analysis import figure_runs
from thoughtscope.figures.looks import Series, assign

if TYPE_CHECKING:
    from thoughtscope.config.load import Study
    from thoughtscope.config.schema import FigureEntry
    from thoughtscope.settings import Look

Own = tuple[
    str, str, "Look | None", str
]  # key, label and look of a series, and the key of the config that sets the look


def figure_series(study: Study, name: str) -> dict[str, Series]:
    """Return the series of a figure by method, backbone or ``trainable backbone``, in the order of its legend.

    Raises:
        UserError: two series look alike, or there are not enough spare looks.
    """
    found = list(_own(study, name, study.config.figures[name]))
    looks = assign({where: look for _, _, look, where in found}, f"{study.source}: figures.{name}")
    return {key: Series(label=label, look=looks[where]) for key, label, _, where in found}


def figure_methods(study: Study, name: str) -> dict[str, str]:
    """Return the label of each method that a figure draws, in order."""
    figure = study.config.figures[name]
    runs = figure_runs(study, name)
    return {one: study.method_label(one) for one in _in_order(study, figure, "method", {run.method for run in runs})}


def _own(study: Study, name: str, figure: FigureEntry) -> Iterator[Own]:
    series = study.figure(name)[0].SERIES
    if series is None:
        return
    if series == "methods":
        for method in figure_methods(study, name):
            look = study.method(method).look
            yield method, study.method_label(method), look, f"{study.file('methods', method)}: look"
        return
    runs = figure_runs(study, name)
    backbones = _in_order(study, figure, "backbone", {run.backbone for run in runs})
    if series == "backbones":
        for backbone in backbones:
            settings = study.backbone(backbone)
            yield backbone, settings.label, settings.look, f"{study.file('backbones', backbone)}: look"
        return
    for trainable, shown, key in (("full", "Live", "full_look"), ("lora", "Frozen", "look")):
        there = {run.backbone for run in runs if run.trainable == trainable}
        for backbone in (one for one in backbones if one in there):
            settings = study.backbone(backbone)
            label = f"{shown} {settings.label}"
            where = f"{study.file('backbones', backbone)}: {key}"
            yield f"{trainable} {backbone}", label, getattr(settings, key), where


def _in_order(study: Study, figure: FigureEntry, key: str, names: Iterable[str]) -> list[str]:
    """Return names in the order of the config: first that of the filters of the figure, then that of `runs`."""
    filters = figure.runs if isinstance(figure.runs, list) else [figure.runs] if figure.runs else []
    listed: list[str] = []
    for one in [*filters, *study.config.runs]:
        value = getattr(one, key) or []
        listed += value if isinstance(value, list) else [value]
    return sorted(names, key=listed.index)
