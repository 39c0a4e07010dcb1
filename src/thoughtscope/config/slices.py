"""What each stage is told: exactly the part of the config that can change its result, as canonical JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from thoughtscope.config.load import Study
from thoughtscope.config.run import Run
from thoughtscope.errors import UserError
from thoughtscope.figures.settings import INPUT
from thoughtscope.plugins import LATENTS, implementation, module_name

GIVEN = "given"
SAVING = {"save_every_seconds", "keep_states"}


def canonical(value: Any) -> str:
    """Return JSON with sorted keys, so that equal settings are equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def tasks(study: Study) -> list[str]:
    """Return every task that something of the study reads, by name."""
    truth = study.config.truth_probes
    read = {task for backbone in backbones(study) for task in pretraining_tasks(study, backbone)}
    return sorted(read | {run.task for run in study.runs} | ({truth.task} if truth else set()))


def backbones(study: Study) -> list[str]:
    """Return every backbone that something of the study reads, by name."""
    truth = study.config.truth_probes
    return sorted({run.backbone for run in study.runs} | ({truth.backbone} if truth else set()))


def backbone_folders(study: Study) -> list[tuple[str, str]]:
    """Return name and variant of every backbone artifact of the study: a tiny backbone has one for each seed."""
    truth = study.config.truth_probes
    used = {(run.backbone, run.seed) for run in study.runs}
    used |= {(truth.backbone, statements_run(truth.task, truth.backbone).seed)} if truth else set()
    return sorted({(backbone, variant(study, backbone, seed)) for backbone, seed in used})


def variant(study: Study, backbone: str, seed: int) -> str:
    """Return which artifact of a backbone the runs of a seed start from: `seed0` if it is tiny, else `given`."""
    return f"seed{seed}" if study.backbone(backbone).source == "tiny" else GIVEN


def backbone_path(study: Study, backbone: str, seed: int) -> str:
    """Return the folder, below `results/backbones`, of the backbone that the runs of a seed start from."""
    return f"{backbone}/{variant(study, backbone, seed)}"


def task_files(study: Study, task: str) -> list[str]:
    """Return the local files that a task is read from: what any `path` of its settings matches, from the root."""
    patterns = sorted(set(_paths(study.task(task).model_dump(mode="json"))))
    return sorted({str(file) for pattern in patterns for file in _matching(pattern)})


def _paths(settings: Any) -> Iterator[str]:
    if isinstance(settings, dict):
        for key, value in settings.items():
            if key == "path" and isinstance(value, str):
                yield value
            yield from _paths(value)
    elif isinstance(settings, list):
        for value in settings:
            yield from _paths(value)


def _matching(pattern: str) -> Iterator[Path]:
    path = Path(pattern)
    return Path(path.anchor).glob(str(path.relative_to(path.anchor)))


def task_slice(study: Study, task: str) -> str:
    """Return what `prepare_task` is told."""
    return canonical(study.task(task).model_dump(mode="json"))


def backbone_slice(study: Study, backbone: str, variant: str) -> str:
    """Return what `build_backbone` is told: what decides the model, not how figures name it or runs train.

    Raises:
        UserError: a tiny backbone without a seed, or a given one with a seed.
    """
    settings = study.backbone(backbone)
    tiny = settings.source == "tiny"
    if tiny == (variant == GIVEN):
        wanted = "seed<n>" if tiny else GIVEN
        raise UserError(f"results/backbones/{backbone}/{variant}", "no such backbone", f"ask for {backbone}/{wanted}")
    unused = {"label", "training", "compute", "facts", *(("chat", "chat_arguments") if tiny else ())}
    value: dict[str, Any] = {"backbone": settings.model_dump(mode="json", exclude=unused)}
    if tiny:
        value["pretraining"] = study.pretraining(backbone).model_dump(mode="json")
        value["seed"] = int(variant.removeprefix("seed"))
    else:
        compared = settings.facts.model_dump(exclude={"sources", "gated", "stage_epochs"}, exclude_unset=True)
        value["backbone"]["facts"] = compared
    return canonical(value)


def pretraining_tasks(study: Study, backbone: str) -> list[str]:
    """Return the tasks that a backbone is pre-trained on; none if it is given."""
    return study.pretraining(backbone).tasks if study.backbone(backbone).source == "tiny" else []


def leader(study: Study, run: Run) -> Run | None:
    """Return the run whose stage switches a control follows, if its method is yoked to one."""
    method = getattr(study.method(run.method), "yoked_to", None)
    return Run(run.task, run.backbone, method, run.trainable, run.seed) if method else None


def method_modules(study: Study, run: Run) -> list[str]:
    """Return the modules that a run loads because of its method: its kind, and what fills latents if it has any."""
    settings = study.method(run.method)
    kind = settings.model_dump()["kind"]
    has_latents = implementation("methods", kind, study.file("methods", run.method)).latent_token(settings)
    return [module_name("methods", kind), *([LATENTS] if has_latents else [])]


def train_slice(study: Study, run: Run) -> str:
    """Return what `train` is told about a run."""
    config, backbone = study.config, study.backbone(run.backbone)
    training = study.training(run)
    method = study.method(run.method).model_dump(mode="json", exclude={"label", "training", "yoked_to"})
    return canonical(
        {
            "run": run.path,
            "method": method,
            "training": training.model_dump(mode="json", exclude=SAVING),
            "frozen": config.frozen.model_dump(mode="json", exclude={"training"})
            if run.trainable == "frozen"
            else None,
            "evaluation": config.evaluation.model_dump(mode="json", exclude={"solved_at"}),
            "prompting": {"chat": backbone.chat, "chat_arguments": backbone.chat_arguments},
            "attention": backbone.attention,
            "deepspeed": study.deepspeed(training.deepspeed),
        }
    )


def saving(study: Study, run: Run) -> str:
    """Return how often a run saves what it goes on from: nothing that can change its result."""
    return canonical(study.training(run).model_dump(mode="json", include=SAVING))


def latents_slice(study: Study, run: Run) -> str:
    """Return what `extract_hidden_states` is told about a run."""
    states = study.config.hidden_states.model_dump(mode="json")
    return canonical({"run": run.path, "states": states, "decoding": study.config.evaluation.decoding})


def statements_slice(study: Study, task: str, backbone: str) -> str:
    """Return what `extract_hidden_states` is told about a backbone that reads statements."""
    settings = study.backbone(backbone)
    return canonical(
        {
            "run": statements_run(task, backbone).path,
            "states": study.config.hidden_states.model_dump(mode="json", exclude={"layers", "examples", "text_tokens"}),
            "precision": study.common_training(backbone).precision,
            "prompting": {"chat": settings.chat, "chat_arguments": settings.chat_arguments},
            "attention": settings.attention,
        }
    )


def statements_run(task: str, backbone: str) -> Run:
    """Return the name under which a backbone's own states stand: no method, nothing trained."""
    return Run(task, backbone, "none", "live", 0)


def latent_probe_runs(study: Study) -> list[Run]:
    """Return the runs whose latents are probed."""
    latent = study.config.latent_probes
    return study.select(latent.runs, "latent_probes.runs") if latent else []


def latent_probes_slice(study: Study, run: Run) -> str:
    """Return what `fit_latent_probes` is told about a run's latents."""
    probes = study.config.latent_probes
    settings = probes.model_dump(mode="json", exclude={"runs"}) if probes else {}
    return canonical({"run": run.path, "latent_probes": settings})


def truth_probes_slice(study: Study, task: str, backbone: str) -> str:
    """Return what `fit_truth_probes` is told about a backbone's truth directions."""
    probes = study.config.truth_probes
    settings = probes.model_dump(mode="json", exclude={"task", "backbone"}) if probes else {}
    return canonical({"run": statements_run(task, backbone).path, "truth_probes": settings})


def wanted_tables(study: Study) -> list[str]:
    """Return the tables that the config asks for, by name."""
    config = study.config
    tables = ["summary", "curves", *(["benchmark"] if config.benchmark else [])]
    if hidden_state_runs(study):
        tables += ["collapse", "separation"]
    if config.latent_probes or config.truth_probes:
        tables.append("probes")
    return [*tables, "activity"] if config.truth_probes else tables


def hidden_state_runs(study: Study) -> list[Run]:
    """Return the runs whose latents some figure draws, and their other seeds: the floor of table `separation`."""
    figures = study.config.figures
    names = [name for name, figure in figures.items() if INPUT[figure.kind] == "hidden_states"]
    drawn = {run for name in names for run in study.select(figures[name].runs, f"figures.{name}.runs")}
    kinds = {replace(run, seed=0) for run in drawn}
    return [run for run in study.runs if replace(run, seed=0) in kinds]


def table_inputs(study: Study, table: str) -> tuple[str, list[Run]]:
    """Return the folder below `results` and the runs that a table is made from."""
    if table in {"summary", "curves", "benchmark"}:
        return "runs", study.runs
    if table in {"collapse", "separation"}:
        return "hidden_states", hidden_state_runs(study)
    return "probes", probe_runs(study, latents=table == "probes")


def probe_runs(study: Study, latents: bool) -> list[Run]:
    """Return the runs that have probes: the statements' and, if asked for, those of latents."""
    truth, runs = study.config.truth_probes, latent_probe_runs(study) if latents else []
    return [*runs, statements_run(truth.task, truth.backbone)] if truth else runs


def table_slice(study: Study, table: str) -> str:
    """Return the settings of `make_table`; the intervals of `probes` were measured before and have their level."""
    evaluation = study.config.evaluation
    own_intervals: dict[str, Any] = {} if table == "probes" else {"confidence": evaluation.confidence}
    if table in {"summary", "curves", "benchmark"}:
        own_intervals["solved_at"] = evaluation.solved_at
    benchmark = study.config.benchmark.model_dump(mode="json") if study.config.benchmark else {}
    extra = benchmark if table == "benchmark" else {}
    return canonical({**own_intervals, **extra, "methods": _labels(study, table_inputs(study, table)[1])})


def _labels(study: Study, runs: list[Run]) -> dict[str, str]:
    """Return each method's name as figures and tables print it."""
    names = {run.method for run in runs} - {"none"}
    return {name: study.method(name).model_dump()["label"] for name in sorted(names)}


def figure_inputs(study: Study, name: str) -> tuple[str, list[Run]]:
    """Return the folder below `results` and the runs that a figure is drawn from."""
    figure = study.config.figures[name]
    source = INPUT[figure.kind]
    if source == "activity":
        return "probes", probe_runs(study, latents=False)
    return source, study.select(figure.runs, f"figures.{name}.runs")


def figure_tasks(study: Study, name: str) -> list[str]:
    """Return the tasks whose texts a figure prints: that of the statements, if it draws activity."""
    truth = study.config.truth_probes
    return [truth.task] if truth and INPUT[study.config.figures[name].kind] == "activity" else []


def figure_slice(study: Study, name: str) -> str:
    """Return what `draw_figure` is told: kind, options, and the names that it prints."""
    figure, (group, runs) = study.config.figures[name], figure_inputs(study, name)
    told: dict[str, Any] = {"kind": figure.kind, "title": figure.title, "options": figure.options}
    if group == "hidden_states" or figure.kind == "benchmark":
        told["methods"] = _labels(study, runs)
    if group == "runs":
        told["backbones"] = {run.backbone: study.backbone(run.backbone).label for run in runs}
    return canonical(told)
