"""Which stage of its curriculum a run is in, and how far it has come. No other module keeps a stage of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from thoughtscope.errors import UserError
from thoughtscope.methods.curriculum import Stage
from thoughtscope.reasoner import Reasoner


@dataclass
class Progress:
    """How far a run has come: plain values that are saved with its state.

    Attributes:
        step: finished updates.
        stage: index of the current stage; the number of stages at the end of the run.
        stage_start: updates that were finished when it began.
        learned: whether the current stage has been learned.
        learned_step: updates that were finished when it was.
        positions, labelled_tokens: that the run has trained on.
        optimizer_steps: updates since the optimiser's moments were last reset.
        measured: update of the newest measurement.
        right: which test questions were right there, with the current stage's layout.
        right_before: the same at the end of the stage before.
        realised: finished stages, as in `schedule.json`.
        stopped: whether the budget ended in a stage that was not learned, so that later ones never begin.
        best: the measurement with the highest validation accuracy: its `step` and its accuracy, `validation`.
        kept: updates of which a model is kept.
        keep_every: updates between models that are kept while the end of the run is not known; 0: it is.
        weights: fingerprint of the trained weights at the newest measurement.
        seconds: that answering a test question took there, on average, with the last stage's layout.
    """

    step: int = 0
    stage: int = 0
    stage_start: int = 0
    learned: bool = False
    learned_step: int = 0
    positions: int = 0
    labelled_tokens: int = 0
    optimizer_steps: int = 0
    measured: int = -1
    right: list[bool] = field(default_factory=list)
    right_before: list[bool] = field(default_factory=list)
    realised: list[dict[str, Any]] = field(default_factory=list)
    stopped: bool = False
    best: dict[str, Any] | None = None
    kept: list[int] = field(default_factory=list)
    keep_every: int = 0
    weights: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Realised:
    """A stage as it happened: the updates after ``first_step``, up to ``last_step``.

    Attributes:
        learned: whether validation questions were right often enough.
        tail: how many of its updates came after that.
        latents: whether it has latents.
        accuracy: on the test questions at its end, answered with its own layout.
    """

    name: str
    first_step: int
    last_step: int
    learned: bool
    tail: int
    latents: bool
    accuracy: float


class Curriculum:
    """The stages of a run, and the progress through them.

    Args:
        reasoner: the model; `self.reasoner` is the same one in the current stage.
        stages: of its method.
        updates: of the whole run.
        leader_schedule: the realised stages of the run whose stage switches this one follows, or None.
    """

    def __init__(
        self,
        reasoner: Reasoner,
        stages: Sequence[Stage],
        updates: int,
        leader_schedule: Sequence[dict[str, Any]] | None,
    ) -> None:
        self.stages, self.progress, self.budget = list(stages), Progress(), updates
        self.leader = list(leader_schedule or [])
        self.until_learned = not self.leader and any(stage.share is None for stage in stages)
        self.lengths = [] if self.until_learned else stage_lengths(stages, updates, leader_schedule)
        self._reasoners = [reasoner.at(stage) for stage in stages]

    @property
    def finished(self) -> bool:
        """Whether all stages have ended, or the budget of updates is used up."""
        return self.progress.stopped or self.progress.stage == len(self.stages)

    @property
    def is_last(self) -> bool:
        """Whether the current stage is the last one (it still is when the run has finished)."""
        return self.progress.stage >= len(self.stages) - 1

    @property
    def unlearned(self) -> str | None:
        """The stage in which the budget of updates ended before it was learned, if it did."""
        return self.stage.name if self.until_learned and self.progress.stopped else None

    @property
    def reasoner(self) -> Reasoner:
        """The reasoner in the current stage."""
        return self._reasoners[min(self.progress.stage, len(self.stages) - 1)]

    @property
    def stage(self) -> Stage:
        """The current stage."""
        return self.reasoner.stage

    @property
    def updates(self) -> int:
        """How many updates the run has: the most it may have, until its last stage is learned."""
        if not self.until_learned:
            return sum(self.lengths)
        if self.finished:
            return self.progress.step
        ends = self.is_last and self.progress.learned
        return min(self.budget, self.progress.learned_step + self.stages[-1].tail) if ends else self.budget

    @property
    def stage_end(self) -> int:
        """The update at which the current stage ends at the latest."""
        if not self.until_learned:
            return sum(self.lengths[: self.progress.stage + 1])
        return self.progress.learned_step if self.progress.learned and not self.is_last else self.updates

    @property
    def decay(self) -> tuple[int, int] | None:
        """The update after which a `wsd` rate falls and over how many it reaches 0; None: as its own settings say."""
        if self.leader:
            return self.leader[-1]["last_step"] - self.leader[-1]["tail"], self.leader[-1]["tail"]
        if not self.until_learned:
            return None
        learned = self.is_last and self.progress.learned
        return (self.progress.learned_step if learned else self.budget), self.stages[-1].tail

    def note_learned(self) -> None:
        """Note that the current stage is learned: it ends, or after its tail if it is the last one."""
        self.progress.learned, self.progress.learned_step = True, self.progress.step

    @property
    def since_switch(self) -> int | None:
        """Updates since the current stage began; None in the first stage."""
        return self.progress.step - self.progress.stage_start if self.progress.stage else None

    @property
    def had_latents(self) -> bool:
        """Whether the current stage or one before it has latents."""
        return self.stage.fill is not None or any(past["latents"] for past in self.progress.realised)

    @property
    def first_latents(self) -> int:
        """Updates that were finished when the first stage with latents began; call it in or after that stage."""
        starts = [past["first_step"] for past in self.progress.realised if past["latents"]]
        return int(starts[0]) if starts else self.progress.stage_start

    @property
    def introduces_tokens(self) -> bool:
        """Whether the current stage is the first whose sequences hold the tokens that the method adds."""
        added = [one.fill is not None or one.markers for one in self.stages[: self.progress.stage + 1]]
        return added[-1] and not any(added[:-1])

    def end_stage(self) -> Realised:
        """Note how the current stage went, and go on to the next one."""
        progress, stage = self.progress, self.stage
        accuracy = sum(progress.right) / len(progress.right)
        span = (progress.stage_start, progress.step)
        tail = progress.step - progress.learned_step if progress.learned else 0
        realised = Realised(stage.name, *span, progress.learned, tail, stage.fill is not None, accuracy)
        progress.realised.append(asdict(realised))
        unlearned = self.until_learned and not progress.learned
        progress.stopped = unlearned or (bool(self.leader) and len(progress.realised) == len(self.lengths))
        progress.right_before, progress.learned = progress.right, False
        if not progress.stopped:
            progress.stage, progress.stage_start = progress.stage + 1, progress.step
        return realised


def stage_lengths(stages: Sequence[Stage], updates: int, leader_schedule: Sequence[dict[str, Any]] | None) -> list[int]:
    """Return how many updates each stage lasts.

    Args:
        stages: each with a share, unless they follow a leader.
        updates: of the whole run; 0 for a method that does not train.
        leader_schedule: the realised stages of the run to follow (of its `schedule.json`), or None. A method of one
            stage lasts as long as the whole run; one of several stops where the run did.

    Raises:
        UserError: a stage would get no update, or the followed run has other stages.
    """
    if leader_schedule:
        found, own = len(leader_schedule), len(stages)
        if own == 1:
            return [leader_schedule[-1]["last_step"]]
        if found > own or (found < own and leader_schedule[-1]["learned"]):
            raise UserError("yoked_to", f"{found} stages there, {own} here", "follow a method with as many stages")
        return [stage["last_step"] - stage["first_step"] for stage in leader_schedule]
    if not updates:
        return [0] * len(stages)
    shares = [stage.share or 0.0 for stage in stages]
    ends = [round(updates * sum(shares[: i + 1])) for i in range(len(stages))]
    lengths = [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    for stage, length in zip(stages, lengths, strict=True):
        if length < 1:
            raise UserError(
                f"stage {stage.name!r}", f"{updates} updates leave it none", "raise training.updates or its share"
            )
    return lengths
