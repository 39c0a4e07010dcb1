"""The identity of a run: its parts, its folder, and its columns in tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, order=True)
class RunId:
    """A training run: task, backbone, method, trainable parameters and seed."""

    task: str
    backbone: str
    method: str
    trainable: str
    seed: int

    @property
    def path(self) -> str:
        """The path of the run below `results/runs`, `results/hidden_states` and `results/probes/<probe>`."""
        return f"{self.task}/{self.backbone}/{self.method}/{self.trainable}/seed{self.seed}"

    @property
    def columns(self) -> dict[str, Any]:
        """The columns that identify the run in tables."""
        return {
            "run": self.path,
            "task": self.task,
            "backbone": self.backbone,
            "method": self.method,
            "trainable": self.trainable,
            "seed": self.seed,
        }

    @classmethod
    def parse(cls, path: str) -> RunId:
        """Return the run with this `path`."""
        task, backbone, method, trainable, seed = path.split("/")
        return cls(task, backbone, method, trainable, int(seed.removeprefix("seed")))
