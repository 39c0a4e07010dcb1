"""The models of the main config file. Tasks and methods have their own `Settings` (see `plugins`).

Each model's docstring and field descriptions become `config/README.md` and `config/schema.json`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from thoughtscope.backbones.settings import Pretraining
from thoughtscope.explorer.settings import Explore
from thoughtscope.hidden_states.settings import HiddenStates
from thoughtscope.settings import Count, OneOrMany, Positive, PositiveFloat, Strict
from thoughtscope.training.hyperparameters import Evaluation, Lora, Training

Trainable = Literal["full", "lora"]


class RunGrid(Strict):
    """A grid of runs: every combination of the listed values is a run."""

    task: OneOrMany[str]
    backbone: OneOrMany[str]
    method: OneOrMany[str]
    trainable: OneOrMany[Trainable] = "full"
    seed: OneOrMany[Count] = 0


class RunFilter(Strict):
    """Selects runs of `runs:`; a missing key matches everything."""

    task: OneOrMany[str] | None = None
    backbone: OneOrMany[str] | None = None
    method: OneOrMany[str] | None = None
    trainable: OneOrMany[Trainable] | None = None
    seed: OneOrMany[Count] | None = None


class SweepGrid(Strict):
    """The runs of each method of a sweep: every combination."""

    task: OneOrMany[str]
    backbone: OneOrMany[str]
    trainable: OneOrMany[Trainable] = "full"
    seed: OneOrMany[Count] = 0


class Sweep(Strict):
    """A grid over keys of a method: each combination is a method of its own; a table and a figure compare them."""

    method: str = Field(..., description="a file of config/methods")
    keys: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(
        ...,
        min_length=1,
        description="values of each key, by its path in that file, e.g. `curriculum.2.fill.alpha`",
    )
    runs: SweepGrid | list[SweepGrid]
    title: str | None = Field(None, description="of the figure")


Runs = RunFilter | list[RunFilter] | None


class Entry(Strict):
    """A probe, table or figure: its kind, which is a module of `thoughtscope.<group>`, and its runs."""

    kind: str
    runs: Runs = Field(None, description="which runs; null: all")


class ProbeEntry(Entry):
    """A probe of runs, or of a backbone that reads the statements of a task; other keys belong to its kind."""

    model_config = ConfigDict(extra="allow")

    runs: Runs = Field(None, description="the runs whose latents are probed")
    task: str | None = Field(None, description="the task whose statements are probed")
    backbone: str | None = Field(None, description="the backbone that reads them")


class TableEntry(Entry):
    """A table; other keys belong to its kind."""

    model_config = ConfigDict(extra="allow")

    kind: str = Field("", description="a module of `thoughtscope.tables`; default: the name of the table")


class FigureEntry(Entry):
    """A figure."""

    probe: str | None = Field(None, description="the probe whose tables are drawn; null: the only one with such tables")
    title: str | None = None
    options: dict[str, object] = Field({}, description="settings of its kind")


class Compute(Strict):
    """The resources that jobs request; changes rerun nothing. Backbones may override each key."""

    nodes: Positive | None = Field(None, description="nodes of a run (SLURM); null: as many as its devices need")
    gpus: Count | None = Field(None, description="devices of each node; null: from the size of the backbone; tiny: 0")
    gpu_type: str | None = Field(None, description="the cluster's name for the devices; null: any")
    gpu_memory_gb: PositiveFloat = Field(80, description="memory of one device")
    gpus_per_node: Positive = Field(8, description="devices of the largest node that is used")
    ranks: Positive = Field(1, description="processes of each node of a run without devices")
    cores: Positive = Field(1, description="of each process")
    mem_mb: Positive | None = Field(None, description="first request; each retry adds half of it; null: from the size")
    minutes: Positive | None = Field(None, description="first time limit; null: from size and method")
    longest_minutes: Positive = Field(1440, description="time limit of the cluster; longer runs resume by themselves")
    warning_seconds: Positive = Field(300, description="how long before its time limit a run is signalled to save")
    offline: bool = Field(False, description="cluster nodes use the downloads of `make fetch` and no network")


class Config(Strict):
    """The main config file: what is studied, and with which settings."""

    runs: list[RunGrid] = Field([], description="what is trained; empty if a study only probes existing backbones")
    sweeps: dict[str, Sweep] = Field({}, description="ablations: what is trained for other values of a method's keys")
    training: Training = Training()
    lora: Lora = Lora()
    evaluation: Evaluation = Evaluation()
    pretraining: Pretraining = Pretraining()
    hidden_states: HiddenStates = HiddenStates()
    probes: dict[str, ProbeEntry] = {}
    tables: dict[str, TableEntry | None] = Field(
        {}, description="beside those that every study has; null leaves one of these out"
    )
    figures: dict[str, FigureEntry]
    explore: Explore | None = Field(Explore(), description="results/explore.html; null: a study does without")
    tensorboard: bool = Field(
        False, description="write event files of every run while it trains, to results/tensorboard; retrains nothing"
    )
    compute: Compute = Compute()
    overrides: dict[Literal["tasks", "backbones", "methods", "deepspeed"], dict[str, dict[str, object]]] = Field(
        {}, description="changes to the small files, e.g. overrides: {tasks: {chain: {seed: 1}}}"
    )

    @model_validator(mode="after")
    def _checkpoints_are_ordered(self) -> Config:
        if sorted(self.training.keep_checkpoints) != self.training.keep_checkpoints:
            raise ValueError("training.keep_checkpoints: fractions must rise")
        return self
