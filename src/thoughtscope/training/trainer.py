"""The training loop of a run: stage after stage, update after update, measured and saved on the way."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from thoughtscope.backbones.spellings import notes as spelling_notes
from thoughtscope.latents.layout import labelled_tokens
from thoughtscope.latents.packing import computed_positions, pack
from thoughtscope.methods.minibatch import Counts, Learner, MicroBatch, Row
from thoughtscope.reasoner import device_and_dtype
from thoughtscope.run_id import RunId
from thoughtscope.training import guards
from thoughtscope.training.assembly import assemble
from thoughtscope.training.checkpoint import Checkpoint
from thoughtscope.training.curriculum import Curriculum, Progress
from thoughtscope.training.data import accumulation_steps, global_batch, micro_batches
from thoughtscope.training.engine import Engine
from thoughtscope.training.evaluator import Evaluator, lost_accuracy
from thoughtscope.training.kept_models import due, superfluous
from thoughtscope.training.memory import enough_memory
from thoughtscope.training.network import frozen_parameters, token_tables
from thoughtscope.training.ranks import Ranks
from thoughtscope.training.records import Records, reading_row
from thoughtscope.training.report import Report
from thoughtscope.training.saving import save_reasoner
from thoughtscope.training.schedule import learning_rate
from thoughtscope.training.settings import TrainSettings
from thoughtscope.training.stage_data import Probabilities, check_latents, lay_out, lay_out_row, score

BEST = "best"  # the folder of the model with the highest validation accuracy
COUNTED = 4096  # training examples, evenly spaced, whose latents are counted when a stage begins


class ContinueLaterError(Exception):
    """The process was asked to stop; the run's state is saved, and the next start resumes it."""


class Trainer:
    """Trains a run on this rank.

    Args:
        settings: everything that can change the result, apart from the inputs.
        rows: the reasoning task's rows; only read if `tokens` does not hold them yet.
        tokens: the folder of the task's examples as token ids; see `training.examples`.
        backbone: the backbone's model folder.
        leader_schedule: the realised stages of the run whose stage switches this one follows, or None.
        state_folder: holds the resumable state; the same at every start of the run.
        report: prints lines and the progress.
        stop_asked: returns whether the process was asked to stop.
        clock: returns seconds, to decide when to save.
    """

    def __init__(
        self,
        settings: TrainSettings,
        rows: Iterable[Mapping[str, Any]],
        tokens: Path,
        backbone: Path,
        leader_schedule: Sequence[dict[str, Any]] | None,
        state_folder: Path,
        report: Report,
        stop_asked: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self.settings, self.training, self.report = settings, settings.training, report
        self.state_folder, self.stop_asked, self.ranks = state_folder, stop_asked, Ranks.here()
        self.seed = RunId.parse(settings.run).seed
        self.device, self.dtype = device_and_dtype(self.training.precision)
        self.parts = assemble(settings, rows, backbone, self.seed, self.device, self.dtype, tokens)
        for line in spelling_notes(self.parts.spellings):
            report.line(line)
        self.splits = self.parts.splits
        self.training = self.training.of_examples(len(self.splits.train))
        updates = self.training.updates if self.parts.reasoner.method.trains else 0
        self.curriculum = Curriculum(self.parts.reasoner, self.parts.stages, updates, leader_schedule)
        self.accumulation = accumulation_steps(self.training, self.ranks.world)
        self.engine = Engine(
            self.parts.network, self.training, settings.deepspeed, self.ranks, self.accumulation, self.dtype
        )
        self.frozen_digest = self._digest_of_frozen() if settings.lora else ""
        self.records = Records(state_folder, settings.run, self.ranks.first)
        self.evaluator = Evaluator(settings, self.splits, self.curriculum, self.engine, self.records, report)
        self.checkpoint = Checkpoint(state_folder, self.training, self.curriculum, self.engine, clock)
        self.probabilities: Probabilities | None = None

    @property
    def progress(self) -> Progress:
        """How far the run has come."""
        return self.curriculum.progress

    def execute(self) -> None:
        """Train every stage to its end, from the newest saved state if there is one.

        Raises:
            ContinueLaterError: the process was asked to stop; the state is saved.
            UserError: a guard stopped the run.
        """
        self.resume()
        trains = self.parts.reasoner.method.trains
        if self.progress.measured < 0:
            if trains:
                self.begin_stage()
            self.evaluator.measure()
        while not self.curriculum.finished:
            self._train_stage()
        if trains and not self.progress.stopped:
            guards.check_stages(self.settings.run, [one.name for one in self.parts.stages], self.progress.realised)
        if self.settings.lora:
            guards.check_fixed(self.settings.run, self.frozen_digest, self._digest_of_frozen())

    def resume(self) -> None:
        """Restore the newest saved state, or start from nothing."""
        self.checkpoint.resume(self.records, self.report)
        if self.progress.step and not self.curriculum.finished and self.curriculum.stage.scored:
            self.probabilities = Probabilities(self._scores)
        self.records.start(self.progress.step)

    def _train_stage(self) -> None:
        progress, curriculum = self.progress, self.curriculum
        while progress.step < curriculum.stage_end:
            self._keep_model()
            self.update()
            self._measure()
            if self.evaluator.learned():
                curriculum.note_learned()
            self._maybe_save()
        self._measure(stage_ends=True)
        warning = lost_accuracy(
            curriculum.stage.name, progress.right, progress.right_before, self.settings.evaluation.confidence
        )
        ended = curriculum.end_stage()
        self.report.line(f"stage {ended.name!r} ended after update {ended.last_step}{', learned' * ended.learned}")
        if warning:
            self.report.line(warning)
        if curriculum.unlearned:
            later = len(curriculum.stages) - 1 - progress.stage
            self.report.line(
                f"warning: its budget of updates ended before {ended.name!r} was learned; {later} stages never began"
            )
        if curriculum.finished:
            self._keep_model()
        else:
            self.begin_stage()

    def _measure(self, stage_ends: bool = False) -> None:
        """Measure the model if that is due, and keep it if it is the best so far and that is asked for."""
        measured = self.evaluator.measure(stage_ends)
        if measured and self.settings.evaluation.keep_best and self.evaluator.improved():
            self.save_model(self.state_folder / BEST)

    def begin_stage(self) -> None:
        """Prepare the current stage: score its responses, check its latents, and reset the optimiser if so set."""
        stage, reasoner, train = self.curriculum.stage, self.curriculum.reasoner, self.splits.train
        self.probabilities = None
        if stage.scored:
            self.engine.network.eval()
            batch_size = self.settings.evaluation.batch_size
            with enough_memory("scoring a stage's responses", "evaluation.batch_size", batch_size):
                score(reasoner.model, train, self.ranks, batch_size, self._scores)
            self.probabilities = Probabilities(self._scores)
        if stage.fill is not None:
            told = self.probabilities
            some = range(0, len(train), -(-len(train) // COUNTED))
            counts = [lay_out(reasoner, train[i], self.seed, 0, told[i] if told else None).latents for i in some]
            check_latents(stage, counts, self.settings.evaluation.max_latents)
            self.report.line(f"stage {stage.name!r}: {sum(counts) / len(counts):.2f} latents a response")
        if self.progress.stage == 0:
            return
        if self.curriculum.introduces_tokens and not self.settings.lora:
            # As Coconut does: new tokens start from what training on text has made of their source tokens.
            self.engine.copy_rows(token_tables(self.engine.network), self.parts.new_rows)
        if self.training.optimizer.at_stage_switch != "keep":
            self.engine.forget_moments()
            self.progress.optimizer_steps = 0

    def update(self) -> None:
        """Do one update of the weights."""
        progress, fill = self.progress, self.curriculum.reasoner.fill
        chosen = global_batch(self.seed, progress.step, self.training.batch_size, len(self.splits.train))
        rows = [self._laid_out(epoch, index) for epoch, index in chosen]
        batches, sequences = self._packed(rows), [one for row in rows for one in row.all]
        labels = labelled_tokens(sequences)
        rate = learning_rate(
            self.training.optimizer,
            progress.step,
            self.training.updates,
            self.curriculum.since_switch,
            self.curriculum.decay,
        )
        held = self.training.batch_size // (self.accumulation * self.ranks.world)
        with enough_memory("training", "training.micro_batch_size", held, self._more_memory()):
            loss, norm = self.engine.update(batches, fill, rate)
        positions = sum(len(one.token_ids) for one in sequences)
        progress.step += 1
        progress.optimizer_steps += 1
        progress.positions += positions
        progress.labelled_tokens += labels
        guards.check_update(self.settings.run, progress.step, loss, norm, self.training.abort_gradient_norm)
        settings = fill.settings if fill else None
        row = {
            "step": progress.step,
            "stage": self.curriculum.stage.name,
            "loss": loss,
            "learning_rate": rate,
            "gradient_norm": norm,
            "labelled_tokens": labels,
            "positions": positions,
            "computed_positions": sum(computed_positions(one, settings) for one in sequences),
            "passes": max(len(one.batch.passes) for one in batches),
            "latents": sum(one.latents for one in sequences),
        }
        self.records.add("metrics", row)
        self.report.update(progress.step, self.curriculum.updates, loss)

    def _packed(self, rows: Sequence[Row]) -> list[MicroBatch]:
        """Return this rank's micro-batches of a global batch."""
        fill = self.curriculum.stage.fill
        together = fill is not None and fill.sequential
        counts, made = Counts.of(rows), []
        for part, passes in micro_batches(rows, self.accumulation, self.ranks.rank, self.ranks.world):
            sequences = [row.sequence for row in part]
            batch = pack(sequences, fill, for_labels=True, device=self.device, passes=passes if together else 0)
            made.append(MicroBatch(part, batch, counts))
        return made

    @property
    def _scores(self) -> Path:
        """The folder of the current stage's probabilities."""
        return self.state_folder / f"probabilities-{self.curriculum.stage.index:03d}"

    def _laid_out(self, epoch: int, index: int) -> Row:
        probabilities = self.probabilities[index] if self.probabilities else None
        return lay_out_row(self.curriculum.reasoner, self.splits.train[index], self.seed, epoch, probabilities)

    def _more_memory(self) -> str:
        sharded = self.settings.deepspeed.zero_optimization.stage >= 2
        return "" if sharded else ", or train on several ranks with training.deepspeed: zero2"

    def _digest_of_frozen(self) -> str:
        return guards.weights_digest(frozen_parameters(self.engine.network))

    def _keep_model(self) -> None:
        """Keep the model if it is at one of the fractions asked for, of the way from the first latents to the end."""
        progress, curriculum = self.progress, self.curriculum
        if not self.training.keep_checkpoints or not curriculum.had_latents or progress.step in progress.kept:
            return
        if due(self.training.keep_checkpoints, curriculum, self.settings.evaluation.check_every):
            self.save_model(self._kept(progress.step))
            progress.kept.append(progress.step)
        for step in superfluous(self.training.keep_checkpoints, curriculum):
            progress.kept.remove(step)
            if self.ranks.first:
                shutil.rmtree(self._kept(step), ignore_errors=True)

    def _kept(self, step: int) -> Path:
        return self.state_folder / "checkpoints" / f"step{step:06d}"

    def save_model(self, folder: Path) -> None:
        """Save the current model as an ordinary folder, with an adapter merged in. All ranks must call it."""
        weights = self.engine.take_weights()
        if self.ranks.first:
            save_reasoner(folder, self.curriculum.reasoner, self.parts.peft, weights)

    @property
    def times(self) -> dict[str, Any]:
        """What answering took at the end of the run: seconds a question, on which device, how many at once."""
        device = torch.cuda.get_device_name() if self.device == "cuda" else "cpu"
        size = self.settings.evaluation.batch_size
        return {"seconds_per_question": self.progress.seconds, "device": device, "batch_size": size}

    def readings(self) -> list[dict[str, Any]]:
        """Return `schemas.READINGS` rows, apart from the run: what auxiliary modules read. All ranks must call it."""
        reasoner, network, size = self.curriculum.reasoner, self.engine.network, self.settings.evaluation.batch_size
        network.eval()
        learner, mine = Learner(network.model, reasoner.fill, network.auxiliary), self.ranks.share(self.splits.test)
        rows = []
        for start in range(0, len(mine), size):
            found = reasoner.method.readings(learner, reasoner.stage, mine[start : start + size], reasoner.ids)
            rows += [reading_row(reasoner.tokenizer, one) for one in found]
        return [row for part in self.ranks.gather(rows) for row in part]

    def save(self) -> None:
        """Save the resumable state. All ranks must call it."""
        self.checkpoint.save()

    def _maybe_save(self) -> None:
        stop = self.ranks.any_rank(self.stop_asked())
        if stop or self.checkpoint.due():
            self.save()
        if stop:
            raise ContinueLaterError(f"saved at update {self.progress.step}")
