"""When a run saves its resumable state, what that is, and how it is restored, on any number of ranks."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from thoughtscope.training.curriculum import Curriculum, Progress
from thoughtscope.training.engine import Engine
from thoughtscope.training.hyperparameters import Training
from thoughtscope.training.records import Records
from thoughtscope.training.report import Report
from thoughtscope.training.state import load_state, newest, save_state

LARGEST_SHARE_OF_SAVING = 0.03  # of the time; a state that takes long to write is written less often


class Checkpoint:
    """The resumable state of a run: progress, weights, moments and random states.

    Args:
        folder: of the states.
        clock: returns seconds.
    """

    def __init__(
        self, folder: Path, training: Training, curriculum: Curriculum, engine: Engine, clock: Callable[[], float]
    ) -> None:
        self.folder, self.training, self.curriculum = folder, training, curriculum
        self.engine, self.ranks, self.clock = engine, engine.ranks, clock
        self.saved_at, self.saving_seconds = clock(), 0.0

    def due(self) -> bool:
        """Return whether it is time to save. All ranks must call it and get the same answer."""
        pause = max(self.training.save_every_seconds, self.saving_seconds / LARGEST_SHARE_OF_SAVING)
        return self.ranks.any_rank(self.clock() - self.saved_at >= pause)

    def save(self) -> None:
        """Save the state after the current update. All ranks must call it; the first one writes."""
        started, progress = self.clock(), self.curriculum.progress
        weights = ((f"weight/{name}", value) for name, value in self.engine.weights())
        tensors = itertools.chain(self._random_states(), weights, self.engine.moments())
        if self.ranks.first:
            save_state(self.folder, progress.step, tensors, {"progress": vars(progress)}, self.training.keep_states)
        else:
            collections.deque(tensors, maxlen=0)  # take part in gathering each of them, and keep none
        self.ranks.wait()
        self.saved_at = self.clock()
        self.saving_seconds = self.saved_at - started

    def resume(self, records: Records, report: Report) -> None:
        """Restore the newest whole state, if there is one, and drop the records of later updates."""
        found = self.ranks.gather(newest(self.folder, report.line) if self.ranks.first else None)[0]
        state = load_state(found) if found else None
        progress = Progress(**state.facts["progress"]) if state else None
        records.cut(progress.step, progress.measured) if progress else records.cut(-1, -1)
        self.ranks.wait()
        if state is None or progress is None:
            return
        self.curriculum.progress = progress
        self.engine.put_weights(state.under("weight/"))
        self.engine.put_moments(state.tensors, progress.optimizer_steps)
        for device, value in state.under(f"random/{self.ranks.rank}/").items():
            put = torch.cuda.set_rng_state if device == "cuda" else torch.set_rng_state
            put(value)
        report.line(f"resumed at update {progress.step}")

    def _random_states(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the state of each rank's random generator, for each kind of device."""
        cuda = {"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {}
        for rank, states in enumerate(self.ranks.gather({"cpu": torch.get_rng_state(), **cuda})):
            yield from ((f"random/{rank}/{device}", value) for device, value in states.items())
