"""Methods that distil a model's chain of thought into its latents, in one stage: CODI and PCCoT.

One model is its own teacher. In each update it sees an example twice:

    teacher  q  s_1 .. s_K  a          the steps in words (CODI: all but the last)
    student  q  [start] z_1 .. z_n [end]  a        latents in place of all steps

L = student CE(a) + teacher_weight CE(s, a) + distillation_weight D, where D compares the hidden states of both at the
token before the answer's value, and gradients reach the student's only. The last step is left out of the teacher's
text since it often spells the answer, which the teacher would then only copy.

CODI (arXiv 2502.21074) computes latents one after another, PCCoT (arXiv 2506.18582) in parallel sweeps (`fill.sweeps`).
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Literal

from pydantic import Field, NonNegativeFloat

from thoughtscope.latents.layout import TokenSequence, sequence
from thoughtscope.latents.settings import AnyFill
from thoughtscope.methods.curriculum import Ending, Example, Stage, TokenIds
from thoughtscope.methods.minibatch import Learner, MicroBatch
from thoughtscope.methods.step_decoder import DecodedSteps, Groups
from thoughtscope.methods.step_removal import END, LATENT, START
from thoughtscope.settings import Positive, Strict

if TYPE_CHECKING:
    from torch import Tensor

    from thoughtscope.latents.packing import Batch
    from thoughtscope.latents.passes import ModelOutput

TEACHER = "teacher"


class Distillation(Strict):
    """How the student's hidden states at the token before the answer are compared with the teacher's."""

    weight: NonNegativeFloat = Field(1.0, description="weight of the comparison in the loss (gamma)")
    embeddings: bool = Field(True, description="whether the output of the embeddings counts as a layer (CODI: yes)")
    scale: Literal["layer", "all"] = Field(
        "layer", description="smooth L1 is divided by the teacher's standard deviation in each layer, or in all layers"
    )


class Settings(DecodedSteps):
    """One stage: the question, latents, the answer; taught by the same model's chain of thought."""

    kind: Literal["self-distillation"]
    fill: AnyFill = Field(..., description="what is fed at latents")
    latents: Positive = Field(..., description="latents before each answer")
    last_step: bool = Field(False, description="whether the teacher's text has the last step, which spells the answer")
    teacher_weight: NonNegativeFloat = Field(1.0, description="weight of the teacher's cross-entropy in the loss")
    distillation: Distillation = Distillation()
    ending: Ending = Ending()

    def stages(self, steps: int) -> list[Stage]:
        """Return the one stage; the number of `steps` does not matter to it."""
        ending = self.ending
        share = None if ending.learned_at is not None else 1.0
        return [
            Stage(
                index=0, name="distillation", share=share, min_updates=ending.min_updates, learned_at=ending.learned_at,
                tail=ending.tail, fill=self.fill, min_latents=1.0,
            )
        ]  # fmt: skip

    @property
    def tokens(self) -> list[str]:
        """Return the markers and the latent token."""
        return [START, LATENT, END]

    @property
    def latent_token(self) -> str:
        """Return the token that stands at latents."""
        return LATENT

    def layout(
        self,
        stage: Stage,
        example: Example,
        ids: TokenIds,
        rng: random.Random,
        probabilities: list[float] | None,
    ) -> TokenSequence:
        """Return the student's sequence: the question, unlabelled latents between markers, the labelled answer."""
        return self._student(example, ids, example.answer)

    def prompt(self, stage: Stage, example: Example, ids: TokenIds) -> TokenSequence:
        """Return the question with its latents."""
        return self._student(example, ids, [])

    def companions(self, stage: Stage, example: Example, ids: TokenIds) -> dict[str, list[TokenSequence]]:
        """Return the teacher's sequence: the question, and the labelled steps and answer in words."""
        steps = example.steps if self.last_step else example.steps[:-1]
        text = [token for step in steps for token in step] + example.answer
        taught = sequence(example.example_id, example.prompt, text)
        return {TEACHER: [taught], **super().companions(stage, example, ids)}

    def groups(self, stage: Stage) -> Groups:
        """Return that each latent stands for a step, and the last one for all that are left."""
        return Groups(self.latents, 1, rest=True)

    def own_loss(self, learner: Learner, micro: MicroBatch) -> tuple[Tensor, ModelOutput]:
        """Return cross-entropies and distillation, summed with their weights; and the student's output.

        Means are over labelled tokens of the global batch and over its examples; standard deviations are those of the
        micro-batch, as the published code has those of a device's batch.
        """
        import torch

        from thoughtscope.latents.scoring import loss_sum

        model, counts = learner.model, micro.counts
        first = 0 if self.distillation.embeddings else 1
        layers = range(first, model.config.get_text_config().num_hidden_layers + 1)
        taught = learner.pack(micro.companions(TEACHER)[1])
        student, teacher = learner.forward(micro.batch, layers), learner.forward(taught, layers)
        here, there = _before_the_value(micro, micro.batch), _before_the_value(micro, taught)
        distance = distillation(
            torch.stack([student.layers[layer][here] for layer in layers]),
            torch.stack([teacher.layers[layer][there] for layer in layers]),
            self.distillation.scale,
        )
        loss = (
            loss_sum(model, student, micro.batch) / counts.labels
            + self.teacher_weight * loss_sum(model, teacher, taught) / counts.companion_labels[TEACHER]
            + self.distillation.weight * distance * len(micro.rows) / counts.examples
        )
        return loss, student

    def _student(self, example: Example, ids: TokenIds, text: list[int]) -> TokenSequence:
        thoughts = [ids[START], *([ids[LATENT]] * self.latents), ids[END]]
        return sequence(
            example.example_id,
            example.prompt,
            thoughts + text,
            is_latent=[0 < t <= self.latents for t in range(len(thoughts + text))],
            labelled=[False] * len(thoughts) + [True] * len(text),
        )


def _before_the_value(micro: MicroBatch, batch: Batch) -> Tensor:
    """Return, for each row, the token of `batch` right before the answer's value: ``[rows]``.

    Every sequence ends with the answer, without its EOS token in a batch that is packed for labels.
    """
    import torch

    left = [len(row.example.answer) - row.example.cue for row in micro.rows]  # tokens of the value, and EOS
    places = batch.lengths - torch.tensor(left, device=batch.index.device)
    return batch.index.gather(1, places[:, None]).squeeze(1)


def distillation(student: Tensor, teacher: Tensor, scale: Literal["layer", "all"]) -> Tensor:
    """Return the mean smooth L1 distance over the teacher's standard deviation, a scalar ``[]``.

    Args:
        student, teacher: hidden states ``[layers, rows, d]``; gradients reach the student's alone.
        scale: over what the standard deviation is taken, apart from rows and entries: each layer, or all of them.
    """
    from torch.nn import functional as F

    fixed = teacher.detach()
    distance = F.smooth_l1_loss(student, fixed, reduction="none")
    spread = fixed.std(dim=(1, 2)) if scale == "layer" else fixed.std()
    return (distance.mean(dim=(1, 2)) / spread).mean()
