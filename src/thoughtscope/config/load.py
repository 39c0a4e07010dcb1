"""Reads the config files, merges them and turns grids into runs; every mistake becomes one clear line.

config.yaml + tasks/ backbones/ methods/ deepspeed/  -->  Study
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from thoughtscope.backbones.settings import Pretraining
from thoughtscope.backbones.settings import Settings as BackboneSettings
from thoughtscope.config.schema import Config, Figure, RunFilter, RunGrid, Training
from thoughtscope.errors import UserError
from thoughtscope.figures.settings import INPUT, OPTIONS
from thoughtscope.plugins import implementation
from thoughtscope.settings import Strict

M = TypeVar("M", bound=BaseModel)
GROUPS = ("tasks", "backbones", "methods", "deepspeed")


@dataclass(frozen=True, order=True)
class Run:
    """The unit that trains: task x backbone x method x trainable x seed."""

    task: str
    backbone: str
    method: str
    trainable: str
    seed: int

    @property
    def path(self) -> str:
        """Where the run stands below `results/runs`, `results/hidden_states` and `results/probes`."""
        return f"{self.task}/{self.backbone}/{self.method}/{self.trainable}/seed{self.seed}"

    @property
    def columns(self) -> dict[str, Any]:
        """The columns that name the run in every table."""
        return {
            "run": self.path,
            "task": self.task,
            "backbone": self.backbone,
            "method": self.method,
            "trainable": self.trainable,
            "seed": self.seed,
        }

    @classmethod
    def parse(cls, path: str) -> Run:
        """Read a run back from its `path`."""
        task, backbone, method, trainable, seed = path.split("/")
        return cls(task, backbone, method, trainable, int(seed.removeprefix("seed")))


class Study:
    """A whole configuration, checked: the main file and every small file that it names.

    Args:
        raw: the main config, as read from YAML (Snakemake's `config`).
        folder: the folder that holds `tasks/`, `backbones/`, `methods/` and `deepspeed/`.
        source: the main file's name, for messages.
    """

    def __init__(self, raw: Mapping[str, Any], folder: Path, source: str = "config/config.yaml") -> None:
        self.folder, self.source = folder, source
        self.config = parse(Config, raw, source)
        self._read: dict[tuple[str, str], dict[str, Any]] = {}
        self._check()

    @cached_property
    def runs(self) -> list[Run]:
        """Every run of the config, sorted, each once."""
        return sorted({run for grid in self.config.runs for run in _expand(grid)})

    def select(self, filters: RunFilter | list[RunFilter] | None, where: str) -> list[Run]:
        """Return the runs that match any of `filters`.

        Raises:
            UserError: nothing matches, or a filter names something that no run has.
        """
        found: set[Run] = set()
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
        return self._plugin("tasks", name)

    def method(self, name: str) -> Strict:
        """Return the settings of a method, as its kind's module defines them."""
        return self._plugin("methods", name)

    def backbone(self, name: str) -> BackboneSettings:
        """Return the settings of a backbone."""
        return parse(BackboneSettings, self.raw("backbones", name), self.file("backbones", name))

    def deepspeed(self, name: str) -> dict[str, Any]:
        """Return a DeepSpeed configuration as it stands in its file; the engine adds batch sizes and precision."""
        return self.raw("deepspeed", name)

    def pretraining(self, backbone: str) -> Pretraining:
        """Return how `backbone` is pre-trained: the common settings with the backbone's own on top."""
        raw = merge(self.config.pretraining.model_dump(), self.backbone(backbone).pretraining)
        return parse(Pretraining, raw, f"{self.file('backbones', backbone)}: pretraining")

    def training(self, run: Run) -> Training:
        """Return how `run` trains: the common settings, then backbone, method and trainable on top."""
        layers: list[tuple[Mapping[str, Any], str]] = [
            (self.backbone(run.backbone).training, self.file("backbones", run.backbone)),
            (getattr(self.method(run.method), "training", {}), self.file("methods", run.method)),
        ]
        if run.trainable == "frozen":
            layers.append((self.config.frozen.training, f"{self.source}: frozen"))
        merged, where = self.config.training.model_dump(), self.source
        for patch, where in layers:
            merged = merge(merged, patch)
            parse(Training, merged, f"{where}: training")
        return parse(Training, merged, f"{where}: training")

    def file(self, group: str, name: str) -> str:
        """Return the file that defines `name`, for messages."""
        return f"{self.folder}/{group}/{name}.yaml"

    def raw(self, group: str, name: str) -> dict[str, Any]:
        """Return a small file as read, with the main file's `overrides` on top.

        Raises:
            UserError: there is no such file, or it is not a mapping.
        """
        if (group, name) not in self._read:
            path = self.folder / group / f"{name}.yaml"
            if not path.is_file():
                there = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml")))
                raise UserError(f"{self.source}: {group}", f"no {path}", f"write that file or use one of {there}")
            overrides = self.config.overrides.get(group, {}).get(name, {})  # type: ignore[call-overload]
            self._read[group, name] = merge(read_yaml(path), overrides)
        return self._read[group, name]

    def _plugin(self, group: str, name: str) -> Strict:
        raw, where = self.raw(group, name), self.file(group, name)
        if "kind" not in raw:
            raise UserError(where, "key kind is missing", f"say of which kind of {group} it is")
        module = implementation(group, raw["kind"], where)
        settings: Strict = parse(module.Settings, raw, where)
        return settings

    def _check(self) -> None:
        """Load every file that is named and every filter, so that mistakes show before anything runs."""
        for group, names in self.config.overrides.items():
            for name in names:
                self.raw(group, name)
        for run in self.runs:
            self.task(run.task)
            self.deepspeed(self.training(run).deepspeed)
            yoked = getattr(self.method(run.method), "yoked_to", None)
            leader = Run(run.task, run.backbone, str(yoked), run.trainable, run.seed)
            if yoked and leader not in self.runs:
                raise UserError(
                    f"{self.source}: runs",
                    f"{run.path} follows the schedule of {leader.path}, which is not a run",
                    f"add it, or take yoked_to out of {self.file('methods', run.method)}",
                )
        for backbone in sorted({run.backbone for run in self.runs}):
            if self.backbone(backbone).source == "tiny":
                for task in self.pretraining(backbone).tasks:
                    self.task(task)
        for name, figure in self.config.figures.items():
            self._check_figure(f"figures.{name}", figure)
        if self.config.latent_probes:
            self.select(self.config.latent_probes.runs, "latent_probes.runs")
        if self.config.truth_probes:
            self.task(self.config.truth_probes.task)
            self.backbone(self.config.truth_probes.backbone)

    def _check_figure(self, where: str, figure: Figure) -> None:
        if figure.kind not in OPTIONS:
            raise UserError(
                f"{self.source}: {where}.kind", f"no kind {figure.kind!r}", f"use one of {', '.join(sorted(OPTIONS))}"
            )
        parse(OPTIONS[figure.kind], figure.options, f"{self.source}: {where}.options")
        if INPUT[figure.kind] == "activity":
            if self.config.truth_probes is None:
                raise UserError(
                    f"{self.source}: {where}", "it draws truth_probes, which are not set", "add truth_probes"
                )
        else:
            self.select(figure.runs, f"{where}.runs")


def parse(model: type[M], raw: Mapping[str, Any], where: str) -> M:
    """Validate `raw` and turn the first mistake into one line with the key.

    Raises:
        UserError: an unknown key, a missing key or a wrong value.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        mends = {
            "extra_forbidden": (
                "unknown key",
                f"remove it; known keys: {', '.join(_fields(model, first['loc']))}",
            ),
            "missing": ("key is missing", "add it"),
        }
        problem, mend = mends.get(first["type"], (f"{first['msg']}, not {first['input']!r}", "correct the value"))
        raise UserError(f"{where}: {key}" if key else where, problem, mend) from error


def _fields(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """Return the known keys of the mapping in which an unknown key stood, as far as it can be followed."""
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return ["see config/README.md"]
        model = inner
    return list(model.model_fields)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        UserError: not YAML, or not a mapping.
    """
    try:
        value = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise UserError(str(path), f"not YAML ({' '.join(str(error).split())})", "correct it") from error
    if not isinstance(value, dict):
        raise UserError(str(path), "not a mapping of keys to values", "write key: value lines")
    return value


def merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `patch` on top, mapping by mapping; lists and values are replaced."""
    merged = dict(base)
    for key, value in patch.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def _expand(grid: RunGrid) -> Iterator[Run]:
    for values in itertools.product(*(_as_list(value) for _, value in grid)):
        yield Run(*values)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
