"""Reads the config files, merges them and turns grids into runs; every mistake becomes one clear line.

config.yaml + tasks/ backbones/ methods/ deepspeed/  -->  Study
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, Concatenate, ParamSpec, TypeVar

from thoughtscope.backbones.gguf_file import locate
from thoughtscope.backbones.settings import Pretraining
from thoughtscope.backbones.settings import Settings as BackboneSettings
from thoughtscope.config import analysis
from thoughtscope.config.revisions import KINDS, LOCK, read_lock
from thoughtscope.config.schema import Config, RunFilter, RunGrid, Runs, TableEntry
from thoughtscope.config.series import figure_series
from thoughtscope.errors import UserError
from thoughtscope.figures.base import Figure
from thoughtscope.kind import Kind
from thoughtscope.parsing import merge, parse, read_yaml
from thoughtscope.plugins import read_settings
from thoughtscope.probes.base import Probe
from thoughtscope.run_id import RunId
from thoughtscope.settings import Hosted, Strict, collect
from thoughtscope.tables.base import Table
from thoughtscope.training.deepspeed import DeepSpeed
from thoughtscope.training.hyperparameters import Training

MAIN = Path("config/config.yaml")
GROUPS = ("tasks", "backbones", "methods", "deepspeed")
P = ParamSpec("P")
T = TypeVar("T")
K = TypeVar("K", bound=Kind)


def _once(method: Callable[Concatenate[Study, P], T]) -> Callable[Concatenate[Study, P], T]:
    """Keep what a method of a study returns for its arguments: a study never changes."""

    @functools.wraps(method)
    def kept(study: Study, /, *arguments: P.args, **named: P.kwargs) -> T:
        key = (method.__name__, *arguments, *named.items())
        if key not in study.kept:
            study.kept[key] = method(study, *arguments, **named)
        found: T = study.kept[key]
        return found

    return kept


class Study:
    """A whole configuration, checked: the main file and every small file that it names.

    Args:
        raw: the main config, as read from YAML.
        folder: the folder that holds `tasks/`, `backbones/`, `methods/` and `deepspeed/`.
        source: the main file's name, for messages.
        require_pins: whether every hub id that is used must have a revision.
    """

    def __init__(
        self, raw: Mapping[str, Any], folder: Path, source: str = str(MAIN), require_pins: bool = True
    ) -> None:
        self.folder, self.source = folder, source
        self.lock = read_lock(folder)
        self.config = parse(Config, raw, source)
        self.kept: dict[tuple[Any, ...], Any] = {}
        self._check()
        if require_pins:
            self._check_pins()

    @classmethod
    def read(cls, files: Sequence[Path], folder: Path = MAIN.parent, require_pins: bool = True) -> Study:
        """Read main files, each laid on top of those before.

        Raises:
            UserError: a mistake in one of them.
        """
        raw: dict[str, Any] = {}
        for file in files:
            raw = merge(raw, read_yaml(file))
        return cls(raw, folder, ", ".join(map(str, files)), require_pins)

    @cached_property
    def runs(self) -> list[RunId]:
        """Every run of the config, sorted, each once."""
        return sorted({run for grid in self.config.runs for run in _expand(grid)})

    def select(self, filters: Runs, where: str) -> list[RunId]:
        """Return the runs that match any of `filters`.

        Raises:
            UserError: nothing matches, or a filter names something that no run has.
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

    def task(self, name: str) -> Strict:
        """Return the settings of a task, as its kind's module defines them."""
        return self.plugin("tasks", name)[1]

    @_once
    def method(self, name: str) -> Strict:
        """Return the settings of a method, as its kind's module defines them."""
        return self.plugin("methods", name)[1]

    def method_label(self, name: str) -> str:
        """Return the name of a method as figures and tables print it."""
        return str(getattr(self.method(name), "label", "") or name)

    @_once
    def backbone(self, name: str) -> BackboneSettings:
        """Return the settings of a backbone."""
        raw, commits = self.raw("backbones", name), self.lock.commits("backbones")
        return parse(BackboneSettings, raw, self.file("backbones", name), commits)

    def deepspeed(self, name: str) -> dict[str, Any]:
        """Return a DeepSpeed configuration as its file sets it; the engine adds batch sizes and precision."""
        settings = parse(DeepSpeed, self.raw("deepspeed", name), self.file("deepspeed", name))
        return settings.model_dump(mode="json", exclude_unset=True, exclude_none=True)

    @_once
    def pretraining(self, backbone: str) -> Pretraining:
        """Return how `backbone` is pre-trained: the common settings with the backbone's own on top."""
        raw = merge(self.config.pretraining.model_dump(), self.backbone(backbone).pretraining)
        where = f"{self.file('backbones', backbone)}: pretraining"
        found = parse(Pretraining, raw, where)
        if self.backbone(backbone).source == "tiny" and not found.tasks:
            raise UserError(f"{where}.tasks", "a tiny backbone learns its language from tasks", "name one at least")
        return found

    @_once
    def common_training(self, backbone: str) -> Training:
        """Return how every run of `backbone` trains, before its method and `trainable` change some of it."""
        raw = merge(self.config.training.model_dump(), self.backbone(backbone).training)
        return parse(Training, raw, f"{self.file('backbones', backbone)}: training")

    @_once
    def training(self, run: RunId) -> Training:
        """Return how `run` trains: the common settings, then backbone, method and trainable on top."""
        layers: list[tuple[Mapping[str, Any], str]] = [
            (self.backbone(run.backbone).training, self.file("backbones", run.backbone)),
            (getattr(self.method(run.method), "training", {}), self.file("methods", run.method)),
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
        """Return the kind of a probe, and its settings as the kind defines them."""
        entry, where = self.config.probes[name], f"{self.source}: probes.{name}"
        return self._configured(Probe.find(entry.kind, where), entry.model_extra, where)

    @_once
    def table(self, name: str) -> tuple[type[Table], Strict]:
        """Return the kind of a table, and its settings as the kind defines them."""
        entry, where = self.config.tables.get(name) or TableEntry(), f"{self.source}: tables.{name}"
        return self._configured(Table.find(entry.kind or name, where), entry.model_extra, where)

    @_once
    def figure(self, name: str) -> tuple[type[Figure], Strict]:
        """Return the kind of a figure, and its settings as the kind defines them."""
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
        """Every (task, backbone) whose statements are probed."""
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
        """Return what a task or a backbone loads from a hub, wherever its settings name it."""
        settings = self.backbone(name) if group == "backbones" else self.task(name)
        return [one for one in collect(settings, Hosted) if one.hub_id is not None]

    def file(self, group: str, name: str) -> str:
        """Return the file that defines `name`, for messages."""
        return f"{self.folder}/{group}/{name}.yaml"

    @_once
    def raw(self, group: str, name: str) -> dict[str, Any]:
        """Return a small file as read, with the main file's `overrides` on top.

        Raises:
            UserError: there is no such file, or it is not a mapping.
        """
        path = self.folder / group / f"{name}.yaml"
        if not path.is_file():
            there = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml")))
            raise UserError(f"{self.source}: {group}", f"no {path}", f"write that file or use one of {there}")
        overrides = self.config.overrides.get(group, {}).get(name, {})  # type: ignore[call-overload]
        return merge(read_yaml(path), overrides)

    @_once
    def plugin(self, group: str, name: str) -> tuple[ModuleType, Strict]:
        """Return the module of a task or method, and its settings as that module defines them."""
        return read_settings(group, self.raw(group, name), self.file(group, name), self.lock.commits(group))

    def _check(self) -> None:
        """Load every file that is named and every filter, so that mistakes show before anything runs."""
        for group, names in self.config.overrides.items():
            for name in names:
                self.raw(group, name)
        for run in self.runs:
            self.task(run.task)
            self.deepspeed(self.training(run).deepspeed)
            yoked = getattr(self.method(run.method), "yoked_to", None)
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
        """Refuse a given folder that is no model folder, or a file that is not there, before anything is built."""
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
        """Refuse a hub id without a revision: what it names may change any day."""
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
