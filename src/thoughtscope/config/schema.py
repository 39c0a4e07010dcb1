"""The models of the main config file. Tasks and methods bring their own `Settings` (see `plugins`).

Each model's docstring and field descriptions become `config/README.md` and `config/schema.json`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from thoughtscope.backbones.settings import Pretraining
from thoughtscope.explorer.settings import Explore
from thoughtscope.hidden_states.settings import HiddenStates
from thoughtscope.settings import Count, OneOrMany, Positive, PositiveFloat, Strict
from thoughtscope.training.hyperparameters import Evaluation, Lora, Training

Trainable = Literal["full", "lora"]


class RunGrid(Strict):
    """A product of lists: every combination is a run."""

    task: OneOrMany[str]
    backbone: OneOrMany[str]
    method: OneOrMany[str]
    trainable: OneOrMany[Trainable] = "full"
    seed: OneOrMany[Count] = 0


class RunFilter(Strict):
    """Selects runs of `runs:`; a key left out matches everything."""

    task: OneOrMany[str] | None = None
    backbone: OneOrMany[str] | None = None
    method: OneOrMany[str] | None = None
    trainable: OneOrMany[Trainable] | None = None
    seed: OneOrMany[Count] | None = None


Runs = RunFilter | list[RunFilter] | None


class Entry(Strict):
    """One probe, table or figure: its kind, a module of `thoughtscope.<group>`, and what it is about."""

    kind: str
    runs: Runs = Field(None, description="which runs; null: all")


class ProbeEntry(Entry):
    """A probe of some runs, or of a backbone that reads a task's statements; more keys are those of its kind."""

    model_config = ConfigDict(extra="allow")

    runs: Runs = Field(None, description="whose latents are probed")
    task: str | None = Field(None, description="whose statements are probed")
    backbone: str | None = Field(None, description="which backbone reads them")


class TableEntry(Entry):
    """A table; more keys are those of its kind."""

    model_config = ConfigDict(extra="allow")

    kind: str = Field("", description="a module of `thoughtscope.tables`; left out: the table's name")


class FigureEntry(Entry):
    """A figure."""

    probe: str | None = Field(None, description="which probe's tables are drawn; null: the only one that has them")
    title: str | None = None
    options: dict[str, object] = Field({}, description="settings of its kind")


class Compute(Strict):
    """What jobs ask a machine or a cluster for; changes rerun nothing. A backbone may override any key of it."""

    nodes: Positive | None = Field(None, description="nodes of a run (SLURM); null: as many as its devices need")
    gpus: Count | None = Field(None, description="devices of each node; null: from the backbone's size, tiny: 0")
    gpu_type: str | None = Field(None, description="which devices, as the cluster calls them; null: any")
    gpu_memory_gb: PositiveFloat = Field(80, description="memory of one device")
    gpus_per_node: Positive = Field(8, description="devices of the largest node that is used")
    ranks: Positive = Field(1, description="processes of each node of a run without devices")
    cores: Positive = Field(1, description="of each process")
    mem_mb: Positive | None = Field(None, description="first request, each retry adds half of it; null: from the size")
    minutes: Positive | None = Field(None, description="first time limit; null: from size and method")
    longest_minutes: Positive = Field(1440, description="the cluster's limit; longer runs go on by themselves")
    warning_seconds: Positive = Field(300, description="how long before its time limit a run is asked to save")
    offline: bool = Field(False, description="cluster nodes use what `make fetch` brought, and ask no hub")


class Config(Strict):
    """The main config file: what is studied and with which settings."""

    runs: list[RunGrid] = Field([], description="what is trained; nothing, if a study only probes given backbones")
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
