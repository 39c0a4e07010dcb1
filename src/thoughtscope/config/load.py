"""Reads and merges the config files and expands grids into runs; each mistake is an error of one line.

config.yaml + tasks/ backbones/ methods/ deepspeed/  -->  Study
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from thoughtscope.backbones.gguf_file import locate
from thoughtscope.backbones.settings import Pretraining
from thoughtscope.backbones.settings import Settings as BackboneSettings
from thoughtscope.config import analysis, sweeps
from thoughtscope.config.revisions import KINDS, LOCK, read_lock
from thoughtscope.config.schema import Config, RunFilter, RunGrid, Runs, TableEntry
from thoughtscope.config.series import figure_series
from thoughtscope.errors import UserError
from thoughtscope.figures.base import Figure
from thoughtscope.kind import Kind
from thoughtscope.methods.base import BaseMethod
from thoughtscope.parsing import merge, parse, read_yaml
from thoughtscope.plugins import read_settings
from thoughtscope.probes.base import Probe
from thoughtscope.run_id import RunId
from thoughtscope.settings import Hosted, Strict, collect
from thoughtscope.tables.base import Table
from thoughtscope.tasks.base import BaseTask
from thoughtscope.training.deepspeed import DeepSpeed
from thoughtscope.training.hyperparameters import Training

MAIN = Path("config/config.yaml")
P = ParamSpec("P")
T = TypeVar("T")
K = TypeVar("K", bound=Kind)
S = TypeVar("S", bound=Strict)


def _once(method: Callable[Concatenate[Study, P], T]) -> Callable[Concatenate[Study, P], T]:
    """Cache the results of a method of a study, which never changes."""

    @functools.wraps(method)
    def kept(study: Study, /, *arguments: P.args, **named: P.kwargs) -> T:
        key = (method.__name__, *arguments, *named.items())
        if key not in study.kept:
            study.kept[key] = method(study, *arguments, **named)
        found: T = study.kept[key]
        return found

    return kept


class Study:
    """The checked configuration of a study: the main file and all small files that it names.

    Args:
        raw: the main config, as read from YAML.
        folder: the folder with `tasks/`, `backbones/`, `methods/` and `deepspeed/`.
        source: the name of the main file, for messages.
        require_pins: whether all hub ids that are used must have a revision.
    """

    def __init__(
        self, raw: Mapping[str, Any], folder: Path, source: str = str(MAIN), require_pins: bool = True
    ) -> None:
        self.folder, self.source = folder, source
        self.lock = read_lock(folder)
        asked = parse(Config, raw, source)
        found = sweeps.points(asked.sweeps, source)
        self.sweep_points = {name: point for one in found.values() for name, point in one.items()}
        self.config = parse(Config, sweeps.expand(raw, asked.sweeps, found), source) if asked.sweeps else asked
        self.kept: dict[tuple[Any, ...], Any] = {}
        self._check()
        if require_pins:
            self._check_pins()

    @classmethod
    def read(cls, files: Sequence[Path], folder: Path = MAIN.parent, require_pins: bool = True) -> Study:
        """Read main files; later files override earlier ones.

        Raises:
            UserError: a file has a mistake.
        """
        raw: dict[str, Any] = {}
        for file in files:
            raw = merge(raw, read_yaml(file))
        return cls(raw, folder, ", ".join(map(str, files)), require_pins)

    @cached_property
    def runs(self) -> list[RunId]:
        """All runs of the config, sorted and without repetition."""
        return sorted({run for grid in self.config.runs for run in _expand(grid)})

    def select(self, filters: Runs, where: str) -> list[RunId]:
        """Return the runs that match any of `filters`.

        Raises:
            UserError: a filter matches no run, or has a value that no run has.
        """
        found: set[RunId] = set()
        for one in filters if isinstance(filters, list) else [filters or RunFilter()]:
            wanted = {key: _as_list(value) for key, value in one if value is not None}
            for key, values in wanted.items():
                there = {getattr(run, key) for run in self.runs}
                for value in values:
                    if value not in there:
                        raise UserError(
                            f"{self.source}: {where}.{key}",
                            f"no run has {key} {value!r}",
                            f"add it to runs: or use one of {', '.join(map(str, sorted(there)))}",
                        )
            matching = {run for run in self.runs if all(getattr(run, key) in value for key, value in wanted.items())}
            if not matching:
                raise UserError(f"{self.source}: {where}", "no run matches", "add the run to runs: or widen the filter")
            found |= matching
        return sorted(found)

    @_once
    def task(self, name: str) -> BaseTask:
        """Return a task."""
        return self._read(BaseTask, "tasks", name)

    @_once
    def method(self, name: str) -> BaseMethod:
        """Return a method."""
        return self._read(BaseMethod, "methods", name)

    def method_label(self, name: str) -> str:
        """Return the label of a method in figures and tables."""
        return self.method(name).label or name

    @_once
    def backbone(self, name: str) -> BackboneSettings:
        """Return the settings of a backbone."""
        raw, commits = self.raw("backbones", name), self.lock.commits("backbones")
        return parse(BackboneSettings, raw, self.file("backbones", name), commits)

    def deepspeed(self, name: str) -> dict[str, Any]:
        """Return the DeepSpeed configuration in a file; the engine adds batch sizes and precision."""
        settings = parse(DeepSpeed, self.raw("deepspeed", name), self.file("deepspeed", name))
        return settings.model_dump(mode="json", exclude_unset=True, exclude_none=True)

    @_once
    def pretraining(self, backbone: str) -> Pretraining:
        """Return the pre-training settings of the main file with the overrides of the backbone."""
        raw = merge(self.config.pretraining.model_dump(), self.backbone(backbone).pretraining)
        where = f"{self.file('backbones', backbone)}: pretraining"
        found = parse(Pretraining, raw, where)
        if self.backbone(backbone).source == "tiny" and not found.tasks:
            raise UserError(f"{where}.tasks", "a tiny backbone learns its language from tasks", "name one at least")
        return found

    @_once
    def common_training(self, backbone: str) -> Training:
        """Return the training settings of a backbone, without the overrides of methods and trainables."""
        raw = merge(self.config.training.model_dump(), self.backbone(backbone).training)
        return parse(Training, raw, f"{self.file('backbones', backbone)}: training")

    @_once
    def training(self, run: RunId) -> Training:
        """Return the training settings of a run: the main file with the overrides of backbone, method and trainable."""
        layers: list[tuple[Mapping[str, Any], str]] = [
            (self.backbone(run.backbone).training, self.file("backbones", run.backbone)),
            (self.method(run.method).training, self.file("methods", run.method)),
        ]
        if run.trainable == "lora":
            layers.append((self.config.lora.training, f"{self.source}: frozen"))
        merged, where = self.config.training.model_dump(), self.source
        for patch, where in layers:
            merged = merge(merged, patch)
            parse(Training, merged, f"{where}: training")
        return parse(Training, merged, f"{where}: training")

    @_once
    def probe(self, name: str) -> tuple[type[Probe], Strict]:
        """Return the class of a probe and its settings."""
        entry, where = self.config.probes[name], f"{self.source}: probes.{name}"
        return self._configured(Probe.find(entry.kind, where), entry.model_extra, where)

    @_once
    def table(self, name: str) -> tuple[type[Table], Strict]:
        """Return the class of a table and its settings."""
        entry, where = self.config.tables.get(name) or TableEntry(), f"{self.source}: tables.{name}"
        return self._configured(Table.find(entry.kind or name, where), entry.model_extra, where)

    @_once
    def figure(self, name: str) -> tuple[type[Figure], Strict]:
        """Return the class of a figure and its settings."""
        entry, where = self.config.figures[name], f"{self.source}: figures.{name}"
        return self._configured(Figure.find(entry.kind, where), entry.options, f"{where}.options")

    def _configured(self, kind: type[K], raw: Mapping[str, Any] | None, where: str) -> tuple[type[K], Strict]:
        """Return a kind and its settings; what `evaluation` has too is taken from there unless `raw` names it."""
        evaluation = self.config.evaluation
        common: dict[str, Any] = {"confidence": evaluation.confidence, "solved_at": evaluation.solved_at}
        common |= {"decoding": evaluation.decoding}
        own = {key: value for key, value in common.items() if key in kind.Settings.model_fields}
        settings = {**own, **(raw or {})}
        return kind, parse(kind.Settings, settings, where)

    @cached_property
    def read_statements(self) -> list[tuple[str, str]]:
        """All (task, backbone) pairs that a probe of statements reads."""
        pairs = {(one.task, one.backbone) for one in self.config.probes.values()}
        return sorted((task, backbone) for task, backbone in pairs if task and backbone)

    def named(self, group: str) -> list[str]:
        """Return the tasks or backbones that runs, pre-training and probes use."""
        backbones = {run.backbone for run in self.runs} | {backbone for _, backbone in self.read_statements}
        if group == "backbones":
            return sorted(backbones)
        tiny = [name for name in backbones if self.backbone(name).source == "tiny"]
        learned = {task for name in tiny for task in self.pretraining(name).tasks}
        return sorted({run.task for run in self.runs} | {task for task, _ in self.read_statements} | learned)

    def hosted(self, group: str, name: str) -> list[Hosted]:
        """Return the settings of all models and datasets that a task or a backbone may load from a hub."""
        settings = self.backbone(name) if group == "backbones" else self.task(name)
        return [one for one in collect(settings, Hosted) if one.hub_id is not None]

    def file(self, group: str, name: str) -> str:
        """Return the file that defines `name`, for messages."""
        return f"{self.folder}/{group}/{name}.yaml"

    @_once
    def raw(self, group: str, name: str) -> dict[str, Any]:
        """Return the content of a small file with the `overrides` of the main file.

        Raises:
            UserError: there is no such file, or it is not a mapping.
        """
        point = self.sweep_points.get(name) if group == "methods" else None
        if point is not None:
            raw = point.apply(self.raw(group, point.method), f"{self.file(group, point.method)}, swept")
            return merge(raw, self.config.overrides.get(group, {}).get(name, {}))  # type: ignore[call-overload]
        path = self.folder / group / f"{name}.yaml"
        if not path.is_file():
            there = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml")))
            raise UserError(f"{self.source}: {group}", f"no {path}", f"write that file or use one of {there}")
        overrides = self.config.overrides.get(group, {}).get(name, {})  # type: ignore[call-overload]
        return merge(read_yaml(path), overrides)

    def _read(self, base: type[S], group: str, name: str) -> S:
        return read_settings(base, self.raw(group, name), self.file(group, name), self.lock.commits(group))

    def _check(self) -> None:
        """Load all files and filters, so that mistakes are found before anything runs."""
        for group, names in self.config.overrides.items():
            for name in names:
                self.raw(group, name)
        for run in self.runs:
            self.task(run.task)
            self.deepspeed(self.training(run).deepspeed)
            yoked = self.method(run.method).yoked_to
            leader = RunId(run.task, run.backbone, str(yoked), run.trainable, run.seed)
            if yoked and leader not in self.runs:
                raise UserError(
                    f"{self.source}: runs",
                    f"{run.path} follows the schedule of {leader.path}, which is not a run",
                    f"add it, or take yoked_to out of {self.file('methods', run.method)}",
                )
        for backbone in self.named("backbones"):
            self._check_folder(backbone)
        for task in self.named("tasks"):
            self.task(task)
        analysis.check(self)
        for name in self.config.figures:
            figure_series(self, name)

    def _check_folder(self, backbone: str) -> None:
        """Refuse a backbone whose folder is no model folder, or whose file is missing."""
        settings = self.backbone(backbone)
        path = settings.path
        if settings.source == "gguf":
            locate(settings, self.file("backbones", backbone))
        if settings.source == "folder" and not (Path(str(path)) / "config.json").is_file():
            raise UserError(
                f"{self.file('backbones', backbone)}: path",
                f"{path} holds no config.json",
                "point to a Hugging Face model folder, as save_pretrained writes it",
            )

    def _check_pins(self) -> None:
        """Refuse hub ids without a revision, because their content may change."""
        for group in KINDS:
            for name in self.named(group):
                for one in self.hosted(group, name):
                    if one.revision is None:
                        raise UserError(
                            f"{self.file(group, name)}: revision",
                            f"{one.hub_id} is not pinned: no commit here or in {self.folder / LOCK}",
                            f"run make pin CONFIG={self.source} on a connected machine",
                        )


def _expand(grid: RunGrid) -> Iterator[RunId]:
    for values in itertools.product(*(_as_list(value) for _, value in grid)):
        yield RunId(*values)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
