"""A run's name: what it is made of, and where it stands. Knows nothing of settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, order=True)
class RunId:
    """The unit that trains: task x backbone x method x trainable x seed."""

    task: str
    backbone: str
    method: str
    trainable: str
    seed: int

    @property
    def path(self) -> str:
        """Where the run stands below `results/runs`, `results/hidden_states` and `results/probes/<probe>`."""
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
    def parse(cls, path: str) -> RunId:
        """Read a run back from its `path`."""
        task, backbone, method, trainable, seed = path.split("/")
        return cls(task, backbone, method, trainable, int(seed.removeprefix("seed")))
