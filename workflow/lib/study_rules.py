"""The settings and inputs of each rule.

For each rule, the function of its name returns the settings that can change its result: a mapping of groups, each of
which becomes a param. Functions take the study and, by name, the wildcards that they need; `run` means the five
wildcards of a run.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

from pydantic import BaseModel

from thoughtscope.config.analysis import hidden_state_runs, probed, probed_runs, table_runs
from thoughtscope.config.load import Study
from thoughtscope.config.run_settings import RunSettings, run_settings
from thoughtscope.config.series import figure_methods, figure_series
from thoughtscope.errors import UserError
from thoughtscope.figures.looks import SPARE
from thoughtscope.kind import Kind
from thoughtscope.latents.fills.base import BaseFill
from thoughtscope.run_id import RunId
from thoughtscope.settings import Strict, collect

GIVEN = "given"


def artifacts(study: Study) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rule and the wildcards of every folder that the study's tables and figures are made from."""
    for task in study.named("tasks"):
        yield "prepare_task", {"task": task}
    seeds = {(run.backbone, run.seed) for run in study.runs} | {(backbone, 0) for _, backbone in study.read_statements}
    for path in sorted({backbone_path(study, *one) for one in seeds}):
        yield "build_backbone", dict(zip(("backbone", "variant"), path.split("/"), strict=True))
    yield from (("train", dataclasses.asdict(run)) for run in study.runs)
    probes = study.config.probes
    of_latents = [probe for probe in probes if study.probe(probe)[0].READS == "latents"]
    latents = {run for probe in of_latents for run in probed_runs(study, probe)} | set(hidden_state_runs(study))
    yield from (("extract_latents", dataclasses.asdict(run)) for run in sorted(latents))
    for task, backbone in study.read_statements:
        yield "extract_statements", {"task": task, "backbone": backbone}
    yield from (("fit_probe", {"probe": probe, "of": of}) for probe in probes for of in probed(study, probe))


class TaskSettings(TypedDict):
    """Settings of a task, as its kind's module defines them."""

    task: dict[str, Any]


def prepare_task(study: Study, task: str) -> TaskSettings:
    """Return the settings of a task."""
    return {"task": study.task(task).model_dump(mode="json")}


def task_files(study: Study, task: str) -> list[str]:
    """Return the local files that a task is read from: what any `path` of its settings matches, from the root."""
    patterns = {getattr(one, "path", None) for one in collect(study.task(task), BaseModel)}
    return sorted({str(file) for pattern in patterns if pattern for file in _matching(pattern)})


def _matching(pattern: str) -> Iterator[Path]:
    path = Path(pattern)
    return Path(path.anchor).glob(str(path.relative_to(path.anchor)))


class BackboneSettings(TypedDict, total=False):
    """What decides the model; pre-training and seed of a tiny one only."""

    backbone: dict[str, Any]
    pretraining: dict[str, Any]
    seed: int


def build_backbone(study: Study, backbone: str, variant: str) -> BackboneSettings:
    """Return what decides the model, not how figures name it or runs train.

    Raises:
        UserError: a tiny backbone without a seed, or a given one with a seed.
    """
    settings = study.backbone(backbone)
    tiny = settings.source == "tiny"
    if tiny == (variant == GIVEN):
        wanted = "seed<n>" if tiny else GIVEN
        raise UserError(f"results/backbones/{backbone}/{variant}", "no such backbone", f"ask for {backbone}/{wanted}")
    unused = {"label", "look", "full_look", "training", "compute", "facts"}
    unused |= {"chat", "chat_arguments"} if tiny else set()
    decides = settings.model_dump(mode="json", exclude=unused)
    if tiny:
        pretraining, seed = study.pretraining(backbone).model_dump(mode="json"), int(variant.removeprefix("seed"))
        return {"backbone": decides, "pretraining": pretraining, "seed": seed}
    facts = settings.facts.model_dump(exclude={"sources", "gated", "stage_epochs"}, exclude_unset=True)
    return {"backbone": {**decides, "facts": facts}}


def backbone_path(study: Study, backbone: str, seed: int) -> str:
    """Return the folder of the backbone that runs of a seed start from, below those of all backbones.

    A tiny backbone has one for each seed of its runs.
    """
    return f"{backbone}/{f'seed{seed}' if study.backbone(backbone).source == 'tiny' else GIVEN}"


def pretraining_tasks(study: Study, backbone: str) -> list[str]:
    """Return the tasks that a backbone is pre-trained on; none if it is given."""
    return study.pretraining(backbone).tasks if study.backbone(backbone).source == "tiny" else []


def train(study: Study, run: RunId) -> RunSettings:
    """Return the settings of a run."""
    return run_settings(study, run)


def method_modules(study: Study, run: RunId) -> list[str]:
    """Return the modules that a run loads because of its method: the kind of method, and the kinds of its fills."""
    method = study.method(run.method)
    return [type(method).__module__, *sorted({type(fill).__module__ for fill in collect(method, BaseFill)})]


class LatentsSettings(TypedDict):
    """The groups of `hidden_states.extract.LatentsSettings`."""

    run: str
    states: dict[str, Any]
    decoding: dict[str, Any]


def extract_latents(study: Study, run: RunId) -> LatentsSettings:
    """Return how a run answers and what is stored of it."""
    states, decoding = study.config.hidden_states.model_dump(mode="json"), study.config.evaluation.decoding
    return {"run": run.path, "states": states, "decoding": decoding}


class StatementsSettings(TypedDict):
    """The groups of `hidden_states.extract.StatementsSettings`."""

    run: str
    states: dict[str, Any]
    precision: str
    prompting: dict[str, Any]
    attention: str


def extract_statements(study: Study, task: str, backbone: str) -> StatementsSettings:
    """Return how a backbone reads statements and what is stored of it."""
    settings = study.backbone(backbone)
    return {
        "run": f"{task}/{backbone}",
        "states": study.config.hidden_states.model_dump(mode="json", exclude={"layers", "examples", "text_tokens"}),
        "precision": study.common_training(backbone).precision,
        "prompting": {"chat": settings.chat, "chat_arguments": settings.chat_arguments},
        "attention": settings.attention,
    }


class ProbeSettings(TypedDict):
    """A probe's kind and settings."""

    kind: str
    settings: dict[str, Any]


def fit_probe(study: Study, probe: str) -> ProbeSettings:
    """Return how a probe is fitted."""
    return {"kind": study.config.probes[probe].kind, "settings": _settings(study.probe(probe))}


SOURCES = {"latents": "hidden_states", "statements": "statements", "runs": "runs"}


def probe_inputs(study: Study, probe: str, of: str) -> list[str]:
    """Return the folders, below the results, of what a probe is fitted to, and of its task."""
    return [f"{SOURCES[study.probe(probe)[0].READS]}/{of}", f"tasks/{of.split('/')[0]}"]


def probe_modules(study: Study, probe: str, of: str) -> list[str]:
    """Return the modules that a probe loads: its kind, and what loads the model of a run that it reads."""
    kind = study.probe(probe)[0]
    return [kind.__module__, *(method_modules(study, RunId.parse(of)) if kind.READS == "runs" else [])]


class TableSettings(TypedDict):
    """A table's kind and settings, and the names of its methods."""

    kind: str
    settings: dict[str, Any]
    methods: dict[str, str]


def table(study: Study, name: str) -> TableSettings:
    """Return how a table is made."""
    methods = sorted({run.method for run in table_runs(study, name)})
    return {
        "kind": kind_name(study.table(name)),
        "settings": _settings(study.table(name)),
        "methods": {method: study.method_label(method) for method in methods},
    }


class FigureSettings(TypedDict):
    """A figure's kind and settings, its series in the order of the legend, and the methods that it names otherwise."""

    kind: str
    title: str | None
    settings: dict[str, Any]
    series: list[tuple[str, dict[str, Any]]]
    methods: list[tuple[str, str]]


def figure(study: Study, name: str) -> FigureSettings:
    """Return how a figure is drawn."""
    kind, series = study.figure(name), figure_series(study, name)
    return {
        "kind": kind_name(kind),
        "title": study.config.figures[name].title,
        "settings": _settings(kind),
        "series": [(key, one.model_dump(mode="json")) for key, one in series.items()],
        "methods": list(figure_methods(study, name).items()) if kind[0].METHODS else [],
    }


class ExploreSettings(TypedDict):
    """What the page holds, and the name and colour of each method."""

    page: dict[str, Any]
    methods: dict[str, dict[str, str]]


def explore(study: Study) -> ExploreSettings:
    """Return what decides the page `explore.html`."""
    own, common = study.config.explore, {"confidence": study.config.evaluation.confidence}
    page = {**common, **own.model_dump(mode="json", exclude_unset=True)} if own else {}
    methods: dict[str, dict[str, str]] = {}
    for name, spare in zip(sorted({run.method for run in study.runs}), itertools.cycle(SPARE), strict=False):
        look = getattr(study.method(name), "look", None) or spare
        methods[name] = {"label": study.method_label(name), "colour": look.colour}
    return {"page": page, "methods": methods}


def explored(study: Study) -> list[str]:
    """Return the folders, below the results, of what the page shows: runs, hidden states, probes and tasks."""
    latents = [f"hidden_states/{run.path}" for run in hidden_state_runs(study)]
    shown = {"effects", "readouts", "activity"}
    probes = [name for name in study.config.probes if shown & set(study.probe(name)[0].TABLES)]
    folders = [f"probes/{probe}/{of}" for probe in probes for of in probed(study, probe)]
    tasks = [f"tasks/{task}" for task in sorted({run.task for run in study.runs})]
    return [*(f"runs/{run.path}" for run in study.runs), *latents, *folders, *tasks]


def kind_name(found: tuple[type[Kind], Strict]) -> str:
    """Return the name of a kind."""
    return found[0].__module__.rpartition(".")[2]


def _settings(found: tuple[type[Kind], Strict]) -> dict[str, Any]:
    return found[1].model_dump(mode="json")
