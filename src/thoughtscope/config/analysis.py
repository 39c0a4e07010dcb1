"""Finds the inputs of the probes, tables and figures of a study, and checks their config.

Each kind states what it reads (see `kind`); the functions here return the corresponding runs and folders.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from thoughtscope.errors import UserError
from thoughtscope.settings import Hosted, collect
from thoughtscope.tables.base import Table
from thoughtscope.tasks.base import StatementTask
from thoughtscope.tasks.reasoning import Skipped

if TYPE_CHECKING:
    from thoughtscope.config.load import Study
    from thoughtscope.run_id import RunId


def probed_runs(study: Study, probe: str) -> list[RunId]:
    """Return the runs that a probe is fitted to; none if it reads statements."""
    if study.probe(probe)[0].READS == "statements":
        return []
    return study.select(study.config.probes[probe].runs, f"probes.{probe}.runs")


def probed(study: Study, probe: str) -> list[str]:
    """Return what a probe is fitted to: paths of runs, or ``<task>/<backbone>``."""
    entry = study.config.probes[probe]
    return [run.path for run in probed_runs(study, probe)] or [f"{entry.task}/{entry.backbone}"]


def drawn_probe(study: Study, figure: str) -> str:
    """Return the name of the probe whose tables a figure draws.

    Raises:
        UserError: no probe writes the table of the figure, or several do and the figure names none.
    """
    table, named = study.figure(figure)[0].PROBE_TABLE, study.config.figures[figure].probe
    found = _writing(study, table)
    where = f"{study.source}: figures.{figure}.probe"
    if not found:
        raise UserError(where, f"it draws the table {table} of a probe, which none writes", "add one to probes")
    if named not in found and (named or len(found) > 1):
        raise UserError(
            where, f"not a probe that writes {table}" if named else f"several write {table}", _one_of(found)
        )
    return named or found[0]


def _writing(study: Study, table: str) -> list[str]:
    return [name for name in study.config.probes if table in study.probe(name)[0].TABLES]


def _one_of(names: list[str]) -> str:
    return f"name one of {', '.join(names)}"


def hidden_state_runs(study: Study) -> list[RunId]:
    """Return the runs whose latents are drawn in a figure, and their other seeds, which tables compare with."""
    names = [name for name in study.config.figures if study.figure(name)[0].READS == "hidden_states"]
    drawn = {run for name in names for run in study.select(study.config.figures[name].runs, f"figures.{name}.runs")}
    kinds = {dataclasses.replace(run, seed=0) for run in drawn}
    return [run for run in study.runs if dataclasses.replace(run, seed=0) in kinds]


def table_names(study: Study) -> list[str]:
    """Return the tables of a study: default ones for which there are artifacts, and those of the config."""
    own = study.config.tables
    default = [name for name, kind in Table.all().items() if kind.DEFAULT and name not in own]
    return [*(name for name in default if table_folders(study, name)), *(name for name, one in own.items() if one)]


def table_runs(study: Study, name: str) -> list[RunId]:
    """Return the runs in a table."""
    kind, entry = study.table(name)[0], study.config.tables.get(name)
    chosen = study.select(entry.runs, f"tables.{name}.runs") if entry else study.runs
    if kind.READS == "probes":
        there = {run for probe in _writing(study, kind.PROBE_TABLE) for run in probed_runs(study, probe)}
    else:
        there = set(hidden_state_runs(study) if kind.READS == "hidden_states" else study.runs)
    return [run for run in chosen if run in there]


def table_folders(study: Study, name: str) -> list[str]:
    """Return the folders, below the results, that a table is made from."""
    kind, runs = study.table(name)[0], [run.path for run in table_runs(study, name)]
    if kind.READS != "probes":
        return [f"{kind.READS}/{run}" for run in runs]
    return [folder for probe in _writing(study, kind.PROBE_TABLE) for folder in _probe_folders(study, probe, runs)]


def figure_runs(study: Study, name: str) -> list[RunId]:
    """Return the runs in a figure."""
    entry, reads = study.config.figures[name], study.figure(name)[0].READS
    if reads == "probes" and entry.runs is None:
        chosen = study.runs  # may be empty, because a probe may read a backbone
    else:
        chosen = study.select(entry.runs, f"figures.{name}.runs")
    if reads != "probes":
        return chosen
    there = set(probed_runs(study, drawn_probe(study, name)))
    return [run for run in chosen if run in there]


def figure_folders(study: Study, name: str) -> list[str]:
    """Return the folders, below the results, that a figure is drawn from."""
    kind, runs = study.figure(name)[0], [run.path for run in figure_runs(study, name)]
    if kind.READS == "probes":
        folders = _probe_folders(study, drawn_probe(study, name), runs)
    else:
        folders = [f"{kind.READS}/{run}" for run in runs]
    also = [probe for table in kind.FURTHER for probe in _writing(study, table)]
    return [*folders, *(folder for probe in also for folder in _probe_folders(study, probe, runs))]


def _probe_folders(study: Study, probe: str, runs: list[str]) -> list[str]:
    of_runs = study.probe(probe)[0].READS != "statements"
    return [f"probes/{probe}/{one}" for one in probed(study, probe) if one in runs or not of_runs]


def check(study: Study) -> None:
    """Refuse mistakes in the config of probes, tables and figures.

    Raises:
        UserError: the first mistake.
    """
    for name in study.config.probes:
        _check_probe(study, name)
    for name in table_names(study):
        if not table_folders(study, name):
            reads = study.table(name)[0].READS.replace("_", " ")
            raise UserError(f"{study.source}: tables.{name}", f"there are no {reads} to make it from", "take it out")
    for name in study.config.figures:
        _check_figure(study, name)


def _check_probe(study: Study, name: str) -> None:
    entry, where = study.config.probes[name], f"{study.source}: probes.{name}"
    needed, unused = ("runs",), ("task", "backbone")
    if study.probe(name)[0].READS == "statements":
        needed, unused = unused, needed  # type: ignore[assignment]
    for key in needed:
        if getattr(entry, key) is None:
            raise UserError(f"{where}.{key}", "key is missing", "add it")
    for key in unused:
        if getattr(entry, key) is not None:
            raise UserError(f"{where}.{key}", f"kind {entry.kind} does not use it", "remove it")
    probed_runs(study, name)
    if entry.task and not isinstance(study.task(entry.task), StatementTask):
        file = study.file("tasks", entry.task)
        raise UserError(f"{where}.task", f"{file} has no true and false statements", "name a task that has")


def _check_figure(study: Study, name: str) -> None:
    entry, where = study.config.figures[name], f"{study.source}: figures.{name}"
    kind, settings = study.figure(name)
    layer, stored = getattr(settings, "layer", None), study.config.hidden_states.layers
    if layer is not None and (stored == "last" or (stored != "all" and layer not in stored)):
        raise UserError(
            f"{where}.options.layer",
            f"hidden_states.layers does not store layer {layer}",
            "add it there, or leave layer out for the one after the final norm",
        )
    runs = figure_runs(study, name)
    for key in kind.SHARED:
        several = sorted({str(getattr(run, key)) for run in runs})
        if len(several) > 1:
            raise UserError(f"{where}.runs", f"they mix {key} {', '.join(several)}", f"name one {key}")
    probed_task = statements_of(study, name)
    if probed_task and entry.options:
        task = study.task(probed_task)
        if not any(one.hub_id for one in collect(task, Hosted)):
            check_statements(study, name, [one for one in task.examples() if not isinstance(one, Skipped)])


def statements_of(study: Study, figure: str) -> str | None:
    """Return the task whose statements a figure draws; None if it draws no probe of statements."""
    if study.figure(figure)[0].READS != "probes":
        return None
    return study.config.probes[drawn_probe(study, figure)].task


def check_statements(study: Study, figure: str, statements: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a figure whose settings name something that the statements do not have.

    Args:
        statements: `schemas.STATEMENTS` of the task that `statements_of` returns.

    Raises:
        UserError: the statements do not have it.
    """
    kind, settings = study.figure(figure)
    try:
        kind.check(settings, statements)
    except UserError as error:
        raise UserError(f"{study.source}: figures.{figure}.options", error.problem, error.fix) from error
