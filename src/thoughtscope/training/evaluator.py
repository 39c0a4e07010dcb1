"""Measures a run while it trains: its accuracy, whether a stage is learned, what a stage lost, whether weights moved.

Points of a curve compare only if they answer the same kind of prompt. So every measurement uses the layout of the
*last* stage, from update 0 on; before that stage, the current stage's own layout is measured as well.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from thoughtscope import schemas
from thoughtscope.accuracy import predict, summarise
from thoughtscope.latents.generate import Decoding
from thoughtscope.methods.curriculum import Example, Stage
from thoughtscope.reasoner import Reasoner
from thoughtscope.schemas import CURRENT, LAST, OTHER_LATENTS
from thoughtscope.statistics import paired_difference_interval
from thoughtscope.training import guards
from thoughtscope.training.assembly import Splits
from thoughtscope.training.curriculum import Curriculum
from thoughtscope.training.engine import Engine
from thoughtscope.training.memory import enough_memory
from thoughtscope.training.records import Records
from thoughtscope.training.report import Report
from thoughtscope.training.settings import TrainSettings


class Evaluator:
    """Measures a run on its test questions, and reads its validation questions."""

    def __init__(
        self,
        settings: TrainSettings,
        splits: Splits,
        curriculum: Curriculum,
        engine: Engine,
        records: Records,
        report: Report,
    ) -> None:
        self.run, self.evaluation, self.splits = settings.run, settings.evaluation, splits
        self.curriculum, self.engine, self.ranks = curriculum, engine, engine.ranks
        self.records, self.report = records, report

    def measure(self, stage_ends: bool = False) -> bool:
        """Measure the accuracy on the test questions if that is due at this update; return whether it was.

        Raises:
            UserError: no weight has changed since the measurement before.
        """
        progress, end = self.curriculum.progress, self.curriculum.updates
        due = stage_ends or progress.step == end or progress.step % self.evaluation.every == 0
        if not due or progress.step == progress.measured:
            return False
        splits = {"test": self.splits.test, **(self.splits.further if progress.step == end else {})}
        layouts = self._layouts()
        for layout, reasoner in layouts.items():
            self._answer(layout, reasoner, splits)
        if progress.step == end and layouts[LAST].fill is not None and layouts[LAST].thinking is None:
            for count in self.evaluation.latents:
                self._answer(LAST, layouts[LAST], {f"test{OTHER_LATENTS}{count}": self.splits.test}, count)
        if progress.step == end:
            self._sample(layouts[LAST])
        progress.measured = progress.step
        self.check_moved()
        return True

    def improved(self) -> bool:
        """Return whether the model is better than at every measurement before, by its validation questions."""
        progress = self.curriculum.progress
        rows = self._predict(self._layouts()[LAST], self.splits.validation)
        accuracy = sum(row["correct"] for row in rows) / len(rows)
        if progress.best is not None and accuracy <= progress.best["validation"]:
            return False
        progress.best = {"step": progress.step, "validation": accuracy}
        return True

    def check_moved(self) -> None:
        """Check that weights have changed since the last call. All ranks must call it.

        Raises:
            UserError: none has.
        """
        progress = self.curriculum.progress
        fingerprint = " ".join(self.ranks.gather(self.engine.fingerprint()))
        guards.check_moved(self.run, progress.step, progress.weights, fingerprint)
        progress.weights = fingerprint

    def learned(self) -> bool:
        """Return whether a check is due and the current stage is learned, by its validation questions."""
        stage, progress = self.curriculum.stage, self.curriculum.progress
        since = progress.step - progress.stage_start
        due = since >= stage.min_updates and since % self.evaluation.check_every == 0
        if self.curriculum.leader or stage.learned_at is None or progress.learned or not due:
            return False
        rows = self._predict(self.curriculum.reasoner, self.splits.validation)
        return bool(sum(row["correct"] for row in rows) >= stage.learned_at * len(rows))

    def _layouts(self) -> dict[str, Reasoner]:
        """Return the reasoners to answer with, by `schemas.LAYOUTS`: one if both stages give the same prompts."""
        now, latents = self.curriculum.reasoner, self.curriculum.had_latents
        final = _answering(now.at(self.curriculum.stages[-1]), latents)
        current = _answering(now, latents)
        return {LAST: final} if _alike(final, current, self.splits.test) else {LAST: final, CURRENT: current}

    def _answer(
        self,
        layout: str,
        reasoner: Reasoner,
        splits: Mapping[str, Sequence[Example]],
        latents: int | None = None,
    ) -> None:
        """Answer the questions of `splits` and record how many answers are right."""
        current, progress = self.curriculum.stage, self.curriculum.progress
        for split, examples in splits.items():
            start = time.perf_counter()
            rows = self._predict(reasoner, examples, latents)
            if (split, layout) == ("test", LAST):
                progress.seconds = (time.perf_counter() - start) / len(examples)
            summary = summarise(rows, self.evaluation.confidence)
            common = {"step": progress.step, "layout": layout, "split": split}
            stage = {"stage": current.name, "stage_index": current.index, "layout_stage": reasoner.stage.name}
            self.records.add("accuracy", {**common, **stage, **summary})
            self.records.add("predictions", *({**common, **row} for row in rows))
            self.report.measured(progress.step, self.curriculum.updates, current.name, layout, summary)
            if split == "test":  # the current layout comes last, where it is another one
                progress.right = [row["correct"] for row in rows]

    def _sample(self, reasoner: Reasoner) -> None:
        """Draw several responses to each test question, if so set, and record them."""
        sampling, step = self.evaluation.sampling, self.curriculum.progress.step
        if sampling is None:
            return
        drawn = sampling.model_dump(exclude={"samples"})
        for sample in range(sampling.samples):
            rows = self._predict(reasoner, self.splits.test, drawn={**drawn, "sample": sample})
            names = set(schemas.SAMPLES.names) - {"run", "sample"}
            kept = ({name: row[name] for name in names} for row in rows)
            self.records.add("samples", *({"step": step, "sample": sample, **row} for row in kept))

    def _predict(
        self,
        reasoner: Reasoner,
        examples: Sequence[Example],
        latents: int | None = None,
        drawn: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Answer questions, with `latents` if set, and greedily unless `drawn` says how responses are sampled."""
        self.engine.network.eval()
        mine, size = self.ranks.share(examples), self.evaluation.batch_size
        with enough_memory("answering questions", "evaluation.batch_size", size):
            decoding = Decoding(**self.evaluation.decoding, **(drawn or {}), batch_size=size)
            return self.ranks.join(predict(reasoner, mine, decoding, self.ranks.any_rank, latents))


def _answering(reasoner: Reasoner, latents_trained: bool) -> Reasoner:
    """Return the reasoner without latents that it could only choose after training with latents has begun."""
    stage: Stage = reasoner.stage
    return reasoner.at(replace(stage, chosen=False, fill=None)) if stage.chosen and not latents_trained else reasoner


def _alike(one: Reasoner, other: Reasoner, examples: Sequence[Example]) -> bool:
    """Return whether two stages answer every example alike: with the same prompts and the same latents."""
    if (one.stage.fill, one.stage.chosen) != (other.stage.fill, other.stage.chosen):
        return False
    return all(one.prompt(example) == other.prompt(example) for example in examples)


def lost_accuracy(name: str, right: Sequence[bool], before: Sequence[bool], confidence: float) -> str | None:
    """Return a warning if a stage ended with a lower accuracy than the stage before, by more than chance; else None.

    Args:
        name: of the stage.
        right: which questions were right at its end.
        before: which were right at the end of the stage before, each answered with that stage's own layout.
    """
    if not before:
        return None
    _, high = paired_difference_interval([float(one) for one in right], [float(one) for one in before], confidence)
    if high >= 0:
        return None
    now, then = (sum(one) / len(one) for one in (right, before))
    return f"warning: stage {name!r} ended at accuracy {now:.3f}, the stage before at {then:.3f}"
