"""What the workflow would make now, artifact by artifact, in the order of the pipeline; asks only the config.

Says the same as the rules do, from the same slices and stages; a test holds the two together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thoughtscope.artifacts import MANIFEST, PROVENANCE
from thoughtscope.config import slices
from thoughtscope.config.load import Study
from thoughtscope.config.run import Run
from thoughtscope.plugins import module_name
from thoughtscope.stages import STAGES

RESULTS = Path("results")
FIGURE_SUFFIXES = (".png", ".pdf", ".svg", ".csv")


@dataclass(frozen=True)
class Planned:
    """An artifact as the workflow would make it now.

    Attributes:
        rule: the rule that makes it.
        label: what people call it, e.g. `train coconut/qwen3`.
        path: its folder; a table's or figure's path without suffix.
        outputs: the files that the rule declares.
        settings, sources, pins: what the rule puts into its params.
        inputs: the paths of the artifacts it is made from.
        data: local files that are read as well.
    """

    rule: str
    label: str
    path: Path
    outputs: tuple[Path, ...]
    settings: Any
    sources: dict[str, str]
    pins: dict[str, str]
    inputs: tuple[Path, ...] = ()
    data: tuple[Path, ...] = ()

    @property
    def input_manifests(self) -> tuple[Path, ...]:
        """The files that the rule names as inputs."""
        return tuple(path / MANIFEST for path in self.inputs)

    @property
    def record(self) -> Path:
        """Where its provenance stands."""
        beside = self.path.with_name(f"{self.path.name}.{PROVENANCE}")
        return beside if self.rule in {"table", "figure"} else self.path / PROVENANCE


class _Plan:
    """Turns a study into planned artifacts."""

    def __init__(self, study: Study) -> None:
        self.study = study

    def folder(self, rule: str, label: str, place: str, settings: str, modules: list[str], *inputs: str) -> Planned:
        """Return an artifact that is a folder; `place` and `inputs` stand below the results folder."""
        path = RESULTS / place
        outputs = [path / MANIFEST, *([path / "accuracy.parquet"] if rule == "train" else [])]
        return self.planned(rule, label, path, outputs, settings, modules, inputs)

    def planned(
        self, rule: str, label: str, path: Path, outputs: list[Path], settings: str, modules: list[str], inputs: Any
    ) -> Planned:
        """Return an artifact; `inputs` stand below the results folder."""
        stage, read = STAGES[rule], tuple(RESULTS / one for one in inputs)
        loaded = json.loads(settings)
        return Planned(rule, label, path, tuple(outputs), loaded, stage.sources(*modules), stage.pins(), read)

    def tasks(self) -> Iterator[Planned]:
        for name in slices.tasks(self.study):
            modules = [module_name("tasks", getattr(self.study.task(name), "kind", ""))]
            settings = slices.task_slice(self.study, name)
            made = self.folder("prepare_task", f"prepare task {name}", f"tasks/{name}", settings, modules)
            yield replace(made, data=tuple(map(Path, slices.task_files(self.study, name))))

    def backbones(self) -> Iterator[Planned]:
        for name, variant in slices.backbone_folders(self.study):
            settings, place = slices.backbone_slice(self.study, name, variant), f"{name}/{variant}"
            tasks = [f"tasks/{task}" for task in slices.pretraining_tasks(self.study, name)]
            yield self.folder("build_backbone", f"build backbone {place}", f"backbones/{place}", settings, [], *tasks)

    def runs(self) -> Iterator[Planned]:
        study = self.study
        leaders = {run: slices.leader(study, run) for run in study.runs}
        for run in sorted(study.runs, key=lambda run: (leaders[run] is not None, run)):
            leader = leaders[run]
            backbone = f"backbones/{slices.backbone_path(study, run.backbone, run.seed)}"
            inputs = [f"tasks/{run.task}", backbone, *([f"runs/{leader.path}"] if leader else [])]
            label, settings = f"train {self.name(run)}", slices.train_slice(study, run)
            yield self.folder("train", label, f"runs/{run.path}", settings, slices.method_modules(study, run), *inputs)

    def states(self) -> Iterator[Planned]:
        study = self.study
        for run in sorted({*slices.hidden_state_runs(study), *slices.latent_probe_runs(study)}):
            place, inputs = f"hidden_states/{run.path}", (f"runs/{run.path}", f"tasks/{run.task}")
            settings, label = slices.latents_slice(study, run), f"extract {self.name(run)}"
            yield self.folder("extract_latents", label, place, settings, slices.method_modules(study, run), *inputs)
        if truth := study.config.truth_probes:
            run = slices.statements_run(truth.task, truth.backbone)
            inputs = (f"backbones/{slices.backbone_path(study, run.backbone, run.seed)}", f"tasks/{truth.task}")
            settings, label = slices.statements_slice(study, truth.task, truth.backbone), f"extract {self.name(run)}"
            yield self.folder("extract_statements", label, f"hidden_states/{run.path}", settings, [], *inputs)

    def probes(self) -> Iterator[Planned]:
        study = self.study
        for run in slices.latent_probe_runs(study):
            inputs = (f"hidden_states/{run.path}", f"tasks/{run.task}")
            settings, label = slices.latent_probes_slice(study, run), f"probe {self.name(run)}"
            yield self.folder("fit_latent_probes", label, f"probes/{run.path}", settings, [], *inputs)
        if truth := study.config.truth_probes:
            run = slices.statements_run(truth.task, truth.backbone)
            inputs = (f"hidden_states/{run.path}", f"tasks/{run.task}")
            settings, label = slices.truth_probes_slice(study, truth.task, truth.backbone), f"probe {self.name(run)}"
            yield self.folder("fit_truth_probes", label, f"probes/{run.path}", settings, [], *inputs)

    def tables(self) -> Iterator[Planned]:
        for name in slices.wanted_tables(self.study):
            group, runs = slices.table_inputs(self.study, name)
            inputs, path = [f"{group}/{run.path}" for run in runs], RESULTS / "tables" / name
            settings, outputs = slices.table_slice(self.study, name), [path.with_suffix(".csv")]
            modules = [module_name("evaluation", name)]
            yield self.planned("table", f"table {name}", path, outputs, settings, modules, inputs)

    def figures(self) -> Iterator[Planned]:
        for name, figure in self.study.config.figures.items():
            group, runs = slices.figure_inputs(self.study, name)
            tasks = [f"tasks/{task}" for task in slices.figure_tasks(self.study, name)]
            inputs, path = [f"{group}/{run.path}" for run in runs] + tasks, RESULTS / "figures" / name
            outputs = [path.with_name(path.name + suffix) for suffix in FIGURE_SUFFIXES]
            modules, settings = [module_name("figures", figure.kind)], slices.figure_slice(self.study, name)
            yield self.planned("figure", f"figure {name}", path, outputs, settings, modules, inputs)

    def name(self, run: Run) -> str:
        """Return a run's name as people say it, with what tells it from the study's other runs."""
        several_tasks = len({one.task for one in self.study.runs}) > 1
        several_seeds = len({one.seed for one in self.study.runs}) > 1
        words = [f"{run.method}/{run.backbone}"]
        words += ["frozen"] if run.trainable == "frozen" else []
        words += [f"seed {run.seed}"] if several_seeds else []
        return " ".join(words + ([f"on {run.task}"] if several_tasks else []))


def plan(study: Study) -> list[Planned]:
    """Return every artifact that the study's figures and tables need; what one is made from stands before it."""
    made = _Plan(study)
    groups = (made.tasks, made.backbones, made.runs, made.states, made.probes, made.tables, made.figures)
    return [one for group in groups for one in group()]
