"""One run from its backbone to its artifact: stages, updates, measurements, states.

Reads as the experiment: `Trainer.execute`. Everything that can change the result comes in as settings.
"""

from __future__ import annotations

import collections
import copy
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from thoughtscope.accuracy import predict, summarise
from thoughtscope.backbones.spellings import notes as spelling_notes
from thoughtscope.latents.generate import Decoding
from thoughtscope.latents.layout import TokenSequence, labelled_tokens
from thoughtscope.latents.packing import computed_positions, pack
from thoughtscope.methods.curriculum import Example, Stage
from thoughtscope.reasoner import device_and_dtype
from thoughtscope.training import guards
from thoughtscope.training.assembly import assemble, use_stage
from thoughtscope.training.data import accumulation_steps, global_batch, micro_batches
from thoughtscope.training.engine import Engine
from thoughtscope.training.events import Events
from thoughtscope.training.insertion import check_latents, lay_out, response_probabilities
from thoughtscope.training.measuring import layouts, lost
from thoughtscope.training.memory import enough_memory
from thoughtscope.training.network import own_parameters, token_tables
from thoughtscope.training.progress import Progress
from thoughtscope.training.ranks import Ranks
from thoughtscope.training.saving import save_reasoner
from thoughtscope.training.schedule import Realised, learning_rate, stage_lengths
from thoughtscope.training.settings import TrainSettings
from thoughtscope.training.state import Journal, load_state, newest, save_state

LARGEST_SHARE_OF_SAVING = 0.03  # of the time; a state that takes long to write is written less often


class ContinueLaterError(Exception):
    """The run was asked to stop; its state is saved and the next start goes on."""


class Trainer:
    """A run on this rank.

    Args:
        settings: all that can change the result.
        rows: the reasoning task's rows.
        backbone: the backbone's folder.
        yoke: stages of the run whose schedule this one follows, or None.
        state_folder: where the resumable state lives; the same for all starts of this run.
        report: called with a line, and with the progress of the run.
        stop_asked: whether the process was told to stop.
        clock: seconds, for deciding when to save.
    """

    def __init__(
        self,
        settings: TrainSettings,
        rows: Sequence[Mapping[str, Any]],
        backbone: Path,
        yoke: Sequence[dict[str, Any]] | None,
        state_folder: Path,
        report: Any,
        stop_asked: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self.settings, self.training, self.report = settings, settings.training, report
        self.state_folder, self.stop_asked, self.clock = state_folder, stop_asked, clock
        self.ranks = Ranks.here()
        self.seed = int(settings.run.rsplit("seed", 1)[1])
        self.device, self.dtype = device_and_dtype(self.training.precision)
        parts = assemble(settings, rows, backbone, self.seed, self.device, self.dtype)
        self.reasoner, self.splits, self.stages, self.peft = parts.reasoner, parts.splits, parts.stages, parts.peft
        self.new_rows, self.spellings, network = parts.new_rows, parts.spellings, parts.network
        for line in spelling_notes(self.spellings):
            report.line(line)
        self.lengths = stage_lengths(self.stages, self.training.updates, yoke)
        self.yoked = yoke is not None and len(self.stages) > 1
        self.steps = accumulation_steps(self.training, self.ranks.world)
        self.engine = Engine(network, self.training, settings.deepspeed, self.ranks, self.steps, self.dtype)
        self.fixed = guards.weights_digest(own_parameters(network)) if settings.lora else ""
        self.progress = Progress()
        self.probabilities: list[list[float]] | None = None
        self.journals = {
            name: Journal(state_folder / f"{name}.jsonl") for name in ("metrics", "accuracy", "predictions")
        }
        self.events = Events(settings.run, self.ranks.first)
        self.saved_at, self.saving_seconds = clock(), 0.0

    # the experiment ---------------------------------------------------------------------------

    def execute(self) -> None:
        """Train every stage to its end, from the newest saved state if there is one.

        Raises:
            ContinueLaterError: the process was told to stop; the state is saved.
            UserError: a guard refused to go on.
        """
        self._resume()
        self.events.start(self.progress.step)
        if self.progress.measured < 0:
            self._begin_stage()
            self._measure()
        while self.progress.stage < len(self.stages):
            self._train_stage()
        guards.check_stages(self.settings.run, [stage.name for stage in self.stages], self.progress.realised)
        if self.settings.lora:
            guards.check_fixed(
                self.settings.run, self.fixed, guards.weights_digest(own_parameters(self.engine.network))
            )

    def _train_stage(self) -> None:
        progress = self.progress
        last = progress.stage == len(self.stages) - 1
        length = self.lengths[progress.stage]
        end = sum(self.lengths) if last and not self.yoked else progress.stage_start + length
        while progress.step < end and not progress.learned:
            self._keep_checkpoint()
            self._update()
            self._measure()
            progress.learned = not last and self._learned()
            self._maybe_save()
        self._measure(stage_ends=True)
        self._end_stage(self.stages[progress.stage])
        progress.stage, progress.learned = progress.stage + 1, False
        progress.stage_start = progress.step
        if progress.stage < len(self.stages):
            self._begin_stage()
        else:
            self._keep_checkpoint()

    def _end_stage(self, stage: Stage) -> None:
        """Note how a stage went, and warn if it lost accuracy."""
        progress, learned = self.progress, self.progress.learned
        accuracy = sum(progress.right) / len(progress.right)
        span = (progress.stage_start, progress.step)
        realised = Realised(stage.name, *span, learned, stage.fill is not None, accuracy)
        progress.realised.append(realised.as_json())
        self.report.line(f"stage {stage.name!r} ended after update {progress.step}" + (", learned" if learned else ""))
        warning = lost(stage.name, progress.right, progress.right_before, self.settings.evaluation.confidence)
        if warning:
            self.report.line(warning)
        progress.right_before = progress.right

    def _begin_stage(self) -> None:
        """Take up the current stage: score, check its latents, and do to the optimiser what its policy says."""
        self._use_stage()
        stage = self.stages[self.progress.stage]
        self.probabilities = None
        if stage.scored:
            self.engine.network.eval()
            batch_size = self.settings.evaluation.batch_size
            scorer = copy.copy(self.reasoner)
            scorer.fill = None
            with enough_memory("scoring a stage's responses", "evaluation.batch_size", batch_size):
                self.probabilities = response_probabilities(scorer, self.splits.train, self.ranks, batch_size)
        if stage.fill is not None:
            counts = [self._laid_out(0, i).latents for i in range(len(self.splits.train))]
            check_latents(stage, counts, self.settings.evaluation.max_latents)
            self.report.line(f"stage {stage.name!r}: {sum(counts) / len(counts):.2f} latents a response")
        added = [one.fill is not None or one.markers for one in self.stages[: self.progress.stage + 1]]
        if added[-1] and not any(added[:-1]):
            self._start_tokens()
        if self.progress.stage > 0 and self.training.optimizer.at_stage_switch != "keep":
            self.engine.forget_moments()
            self.progress.optimizer_steps = 0

    def _start_tokens(self) -> None:
        """Let the method's tokens start from what their source tokens have become in the stages without latents.

        (Coconut starts its latent stages from a model that was first trained on text.) A frozen backbone's rows
        have not moved.
        """
        if self.progress.stage > 0 and not self.settings.lora:
            self.engine.copy_rows(token_tables(self.engine.network), self.new_rows)

    def _use_stage(self) -> None:
        use_stage(self.reasoner, self.engine.network, self.stages[self.progress.stage])

    def _laid_out(self, epoch: int, index: int) -> TokenSequence:
        probabilities = self.probabilities[index] if self.probabilities else None
        return lay_out(self.reasoner, self.splits.train[index], self.seed, epoch, probabilities)

    def _update(self) -> None:
        progress, network = self.progress, self.engine.network
        network.train()
        chosen = global_batch(self.seed, progress.step, self.training.batch_size, len(self.splits.train))
        sequences = [self._laid_out(epoch, index) for epoch, index in chosen]
        fill = self.reasoner.fill.settings if self.reasoner.fill else None
        together = fill is not None and fill.sequential
        batches = [
            pack(rows, fill, for_labels=True, device=self.device, passes=passes if together else 0)
            for rows, passes in micro_batches(sequences, self.steps, self.ranks.rank, self.ranks.world)
        ]
        since = progress.step - progress.stage_start if progress.stage else None
        rate = learning_rate(self.training.optimizer, progress.step, self.training.updates, since)
        labels = labelled_tokens(sequences)
        held = self.training.batch_size // (self.steps * self.ranks.world)
        with enough_memory("training", "training.micro_batch_size", held, self._further_room()):
            loss, norm = self.engine.update(batches, labels, rate)
        progress.step += 1
        progress.optimizer_steps += 1
        positions = sum(len(one.token_ids) for one in sequences)
        progress.positions += positions
        progress.labelled_tokens += labels
        guards.check_update(self.settings.run, progress.step, loss, norm, self.training.abort_gradient_norm)
        self._note(
            "metrics",
            {
                "step": progress.step,
                "stage": self.reasoner.stage.name,
                "loss": loss,
                "learning_rate": rate,
                "gradient_norm": norm,
                "labelled_tokens": labels,
                "positions": positions,
                "computed_positions": sum(computed_positions(one, fill) for one in sequences),
                "passes": max(len(batch.passes) for batch in batches),
                "latents": sum(one.latents for one in sequences),
            },
        )
        self.report.update(progress.step, sum(self.lengths), loss)

    def _further_room(self) -> str:
        sharded = self.settings.deepspeed.get("zero_optimization", {}).get("stage", 0) >= 2
        return "" if sharded else ", or train on several ranks with training.deepspeed: zero2"

    # measuring --------------------------------------------------------------------------------

    def _predict(self, examples: list[Example]) -> list[dict[str, Any]]:
        self.engine.network.eval()
        mine, size = self.ranks.share(examples), self.settings.evaluation.batch_size
        with enough_memory("answering questions", "evaluation.batch_size", size):
            decoding = Decoding(**self.settings.evaluation.decoding, batch_size=size)
            answers = predict(self.reasoner, mine, decoding, self.ranks.any_rank)
        return self.ranks.join(answers)

    def _measure(self, stage_ends: bool = False) -> None:
        """Measure accuracy on the test questions, if that is due at this update: see `training.measuring`."""
        step, end = self.progress.step, sum(self.lengths)
        due = stage_ends or step == end or step % self.settings.evaluation.every == 0
        if not due or step == self.progress.measured:
            return
        current = self.reasoner.stage
        trained = current.fill is not None or any(past["latents"] for past in self.progress.realised)
        for layout, stage in layouts(self.reasoner, self.stages[-1], current, self.splits.test, trained).items():
            use_stage(self.reasoner, self.engine.network, stage)
            self._answer(layout, current, {"test": self.splits.test, **(self.splits.further if step == end else {})})
        self._use_stage()
        self.progress.measured = step
        self._check_moved()

    def _answer(self, layout: str, current: Stage, splits: Mapping[str, list[Example]]) -> None:
        """Answer the questions of `splits` as the reasoner's stage does, and note how many were right."""
        step = self.progress.step
        for split, examples in splits.items():
            rows = self._predict(examples)
            summary = summarise(rows, self.settings.evaluation.confidence)
            common = {"step": step, "layout": layout, "split": split}
            stage = {"stage": current.name, "stage_index": current.index, "layout_stage": self.reasoner.stage.name}
            self._note("accuracy", {**common, **stage, **summary})
            self._note("predictions", *({**common, **row} for row in rows))
            self.report.measured(step, sum(self.lengths), current.name, layout, summary)
            if split == "test":  # the current layout comes last, where it is another one
                self.progress.right = [row["correct"] for row in rows]

    def _check_moved(self) -> None:
        fingerprint = " ".join(self.ranks.gather(self.engine.fingerprint()))
        guards.check_moved(self.settings.run, self.progress.step, self.progress.weights, fingerprint)
        self.progress.weights = fingerprint

    def _learned(self) -> bool:
        """Return whether the stage is learned, on validation questions, if this is an update at which that is due."""
        stage, since = self.reasoner.stage, self.progress.step - self.progress.stage_start
        due = since >= stage.min_updates and since % self.settings.evaluation.check_every == 0
        if self.yoked or stage.learned_at is None or not due:
            return False
        rows = self._predict(self.splits.validation)
        return bool(sum(row["correct"] for row in rows) >= stage.learned_at * len(rows))

    # keeping ----------------------------------------------------------------------------------

    def _note(self, journal: str, *rows: dict[str, Any]) -> None:
        if self.ranks.first:
            self.journals[journal].append(list(rows))
        if journal != "predictions":
            for row in rows:
                self.events.add("/".join([journal, *(row[key] for key in ("split", "layout") if key in row)]), row)

    def _keep_checkpoint(self) -> None:
        """Keep the model at the asked-for fractions of the way from the first latent stage to the end."""
        latent = [stage for stage in self.progress.realised if stage["latents"]]
        first = latent[0]["first_step"] if latent else self.progress.stage_start
        thinking = bool(latent) or (self.reasoner.stage.fill is not None)
        end = sum(self.lengths)
        wanted = {first + round(share * (end - first)) for share in self.training.keep_checkpoints}
        step = self.progress.step
        if thinking and step in wanted and step not in self.progress.kept:
            self.save_model(self.state_folder / "checkpoints" / f"step{step:06d}")
            self.progress.kept.append(step)

    def save_model(self, folder: Path) -> None:
        """Save the current model as an ordinary folder, an adapter merged in. All ranks must call it."""
        weights = self.engine.take_weights()
        if self.ranks.first:
            save_reasoner(folder, self.reasoner, self.peft, weights)

    def _maybe_save(self) -> None:
        stop = self.ranks.any_rank(self.stop_asked())
        pause = max(self.training.save_every_seconds, self.saving_seconds / LARGEST_SHARE_OF_SAVING)
        due = self.ranks.any_rank(self.clock() - self.saved_at >= pause)
        if stop or due:
            self._save()
        if stop:
            raise ContinueLaterError(f"saved at update {self.progress.step}")

    def _save(self) -> None:
        started = self.clock()
        weights = ((f"weight/{name}", value) for name, value in self.engine.weights())
        tensors = itertools.chain(self._random_states(), weights, self.engine.moments())
        if self.ranks.first:
            facts = {"progress": vars(self.progress), "probabilities": self.probabilities}
            save_state(self.state_folder, self.progress.step, tensors, facts, self.training.keep_states)
        else:
            collections.deque(tensors, maxlen=0)  # take part in gathering each of them, and keep none
        self.ranks.wait()
        self.saved_at = self.clock()
        self.saving_seconds = self.saved_at - started

    def _resume(self) -> None:
        found = newest(self.state_folder, self.report.line) if self.ranks.first else None
        found = self.ranks.gather(found)[0]
        if found is None:
            if self.ranks.first:
                for journal in self.journals.values():
                    journal.cut(-1)
            self.ranks.wait()
            return
        state = load_state(found)
        self.progress = Progress(**state.facts["progress"])
        if self.ranks.first:
            for name, journal in self.journals.items():
                journal.cut(self.progress.step if name == "metrics" else self.progress.measured)
        self.ranks.wait()
        self.engine.put_weights(state.under("weight/"))
        self.engine.put_moments(state.tensors, self.progress.optimizer_steps)
        for device, value in state.under(f"random/{self.ranks.rank}/").items():
            put = torch.cuda.set_rng_state if device == "cuda" else torch.set_rng_state
            put(value)
        self._use_stage()
        self.probabilities = state.facts["probabilities"]
        self.report.line(f"resumed at update {self.progress.step}")

    def _random_states(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield where each rank's random numbers stand, for each kind of device."""
        cuda = {"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {}
        for rank, states in enumerate(self.ranks.gather({"cpu": torch.get_rng_state(), **cuda})):
            yield from ((f"random/{rank}/{device}", value) for device, value in states.items())
