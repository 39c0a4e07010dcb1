"""The settings and inputs of each rule.

For each rule, the function of its name returns the settings that can change its result: a mapping of groups, each of
which becomes a param. Functions take the study and, by name, the wildcards that they need; `run` means the five
wildcards of a run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

from pydantic import BaseModel

from thoughtscope.config.load import Study
from thoughtscope.config.run_settings import RunSettings, run_settings
from thoughtscope.config.series import figure_methods, figure_series
from thoughtscope.errors import UserError
from thoughtscope.figures.settings import INPUT
from thoughtscope.latents.fills.base import BaseFill
from thoughtscope.run_id import RunId
from thoughtscope.settings import collect

GIVEN = "given"


def artifacts(study: Study) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rule and the wildcards of every folder that the study's tables and figures are made from."""
    for task in study.named("tasks"):
        yield "prepare_task", {"task": task}
    truth = study.config.truth_probes
    seeds = {(run.backbone, run.seed) for run in study.runs} | ({(truth.backbone, 0)} if truth else set())
    for path in sorted({backbone_path(study, *one) for one in seeds}):
        yield "build_backbone", dict(zip(("backbone", "variant"), path.split("/"), strict=True))
    probed = latent_probe_runs(study)
    for rule, runs in (
        ("train", study.runs),
        ("extract_latents", sorted({*hidden_state_runs(study), *probed})),
        ("fit_latent_probes", probed),
    ):
        yield from ((rule, dataclasses.asdict(run)) for run in runs)
    if truth:
        for rule in ("extract_statements", "fit_truth_probes"):
            yield rule, {"task": truth.task, "backbone": truth.backbone}


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
    module, settings = study.plugin("methods", run.method)
    return [module.__name__, *sorted({type(fill).__module__ for fill in collect(settings, BaseFill)})]


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


class LatentProbes(TypedDict):
    """A run's name and the settings of its probes."""

    run: str
    latent_probes: dict[str, Any]


def fit_latent_probes(study: Study, run: RunId) -> LatentProbes:
    """Return how a run's latents are probed."""
    probes = study.config.latent_probes
    return {"run": run.path, "latent_probes": probes.model_dump(mode="json", exclude={"runs"}) if probes else {}}


def latent_probe_runs(study: Study) -> list[RunId]:
    """Return the runs whose latents are probed."""
    latent = study.config.latent_probes
    return study.select(latent.runs, "latent_probes.runs") if latent else []


class TruthProbes(TypedDict):
    """What was read by which backbone, and the settings of the probes."""

    task: str
    backbone: str
    truth_probes: dict[str, Any]


def fit_truth_probes(study: Study, task: str, backbone: str) -> TruthProbes:
    """Return how directions of truth are fitted."""
    probes = study.config.truth_probes
    settings = probes.model_dump(mode="json", exclude={"task", "backbone"}) if probes else {}
    return {"task": task, "backbone": backbone, "truth_probes": settings}


class TableSettings(TypedDict, total=False):
    """The groups of `evaluation.settings.TableSettings`."""

    confidence: float
    solved_at: float | None
    baseline: str
    published: list[dict[str, Any]]
    methods: dict[str, str]


def table(study: Study, name: str) -> TableSettings:
    """Return the settings of a table; the intervals of `probes` were measured before and have their level."""
    settings: TableSettings = {"methods": _labels(study, _table_runs(study, name))}
    if name != "probes":
        settings["confidence"] = study.config.evaluation.confidence
    if name in {"summary", "curves", "benchmark"}:
        settings["solved_at"] = study.config.evaluation.solved_at
    if name == "benchmark" and study.config.benchmark:
        settings |= study.config.benchmark.model_dump(mode="json")  # type: ignore[typeddict-item]
    return settings


def wanted_tables(study: Study) -> list[str]:
    """Return the tables that the config asks for, by name."""
    config = study.config
    tables = ["summary", "curves", *(["benchmark"] if config.benchmark else [])] if study.runs else []
    if hidden_state_runs(study):
        tables += ["collapse", "separation"]
    if config.latent_probes or config.truth_probes:
        tables.append("probes")
    return [*tables, "activity"] if config.truth_probes else tables


def table_inputs(study: Study, name: str) -> list[str]:
    """Return the folders, below the results, that a table is made from."""
    group = {"collapse": "hidden_states", "separation": "hidden_states", "probes": "probes"}.get(name, "runs")
    runs = [f"{group}/{run.path}" for run in _table_runs(study, name)]
    return [*runs, *(truth_probes(study) if name in {"probes", "activity"} else [])]


def _table_runs(study: Study, name: str) -> list[RunId]:
    """Return the runs that a table is about."""
    if name in {"collapse", "separation"}:
        return hidden_state_runs(study)
    return {"probes": latent_probe_runs(study), "activity": []}.get(name, study.runs)


def hidden_state_runs(study: Study) -> list[RunId]:
    """Return the runs whose latents some figure draws, and their other seeds: the floor of table `separation`."""
    figures = study.config.figures
    names = [name for name, figure in figures.items() if INPUT[figure.kind] == "hidden_states"]
    drawn = {run for name in names for run in study.select(figures[name].runs, f"figures.{name}.runs")}
    kinds = {dataclasses.replace(run, seed=0) for run in drawn}
    return [run for run in study.runs if dataclasses.replace(run, seed=0) in kinds]


def truth_probes(study: Study) -> list[str]:
    """Return the folder of the study's truth probes, below the results, if it has any."""
    truth = study.config.truth_probes
    return [f"truth_probes/{truth.task}/{truth.backbone}"] if truth else []


def _labels(study: Study, runs: list[RunId]) -> dict[str, str]:
    """Return each method's name as figures and tables print it."""
    return {name: study.method_label(name) for name in sorted({run.method for run in runs})}


class FigureSettings(TypedDict, total=False):
    """A figure's kind and options, its series in the order of the legend, and the methods that it names otherwise."""

    kind: str
    title: str | None
    options: dict[str, Any]
    series: list[tuple[str, dict[str, Any]]]
    methods: list[tuple[str, str]]


def figure(study: Study, name: str) -> FigureSettings:
    """Return the settings of a figure."""
    drawn, series = study.config.figures[name], figure_series(study, name)
    settings: FigureSettings = {"kind": drawn.kind, "title": drawn.title, "options": drawn.options}
    if INPUT[drawn.kind] == "runs":
        common = study.config.evaluation.model_dump(mode="json", include={"confidence", "solved_at"})
        settings["options"] = common | drawn.options
    if drawn.kind == "benchmark":
        settings["methods"] = list(figure_methods(study, name).items())
    settings["series"] = [(key, one.model_dump(mode="json")) for key, one in series.items()]
    return settings


def figure_inputs(study: Study, name: str) -> list[str]:
    """Return the folders, below the results, that a figure is drawn from."""
    group, truth = INPUT[study.config.figures[name].kind], study.config.truth_probes
    if group == "activity" and truth:
        return [*truth_probes(study), f"tasks/{truth.task}"]
    return [f"{group}/{run.path}" for run in _figure_runs(study, name)]


def _figure_runs(study: Study, name: str) -> list[RunId]:
    """Return the runs that a figure is drawn from; none if it draws activity."""
    drawn = study.config.figures[name]
    return [] if INPUT[drawn.kind] == "activity" else study.select(drawn.runs, f"figures.{name}.runs")
