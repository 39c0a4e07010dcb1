"""A decoder that learns to read the step from the latents that stand for it: SIM-CoT (arXiv 2509.20317).

It is a copy of the model as training begins. For each step whose place latents have taken, it reads the vectors z that
were fed at them and then, teacher-forced, the step:

    z_1 .. z_c  E(s_1) .. E(s_m)   ->   s_1 .. s_m EOS

E is the embedding table of the model itself. The cross-entropy is added to the method's own loss, and its gradient
reaches the model through z and E. After training the decoder is dropped; what it reads at the latents of the test
questions is kept as a table.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, NonNegativeFloat

from thoughtscope.latents.layout import TokenSequence, sequence
from thoughtscope.methods.base import BaseMethod
from thoughtscope.methods.curriculum import Example, Stage, TokenIds
from thoughtscope.methods.minibatch import Learner, MicroBatch, Reading
from thoughtscope.settings import Positive, Strict

if TYPE_CHECKING:
    from torch import Tensor, nn

    from thoughtscope.latents.packing import Batch, Pass
    from thoughtscope.latents.passes import ModelOutput, States

STEPS = "steps"


class StepDecoder(Strict):
    """A decoder that reads the steps from the latents while the model trains (SIM-CoT, arXiv 2509.20317)."""

    weight: NonNegativeFloat = Field(1.0, description="weight of its cross-entropy in the loss")
    per: Literal["step", "token"] = Field(
        "step", description="its cross-entropy is a mean over steps, of sums over their tokens; or over tokens"
    )
    max_tokens: Positive = Field(32, description="tokens of a reading after training, at most")


@dataclass(frozen=True)
class Groups:
    """The latents of a stage, by the steps that they stand for.

    Attributes:
        number: how many steps have latents.
        latents: that stand for each of them.
        rest: whether the last group stands for all steps that are left.
    """

    number: int
    latents: int
    rest: bool

    def steps(self, example: Example) -> list[list[int]]:
        """Return the step of each group; an example with fewer steps has fewer."""
        if self.rest and len(example.steps) > self.number > 0:
            last = [token for step in example.steps[self.number - 1 :] for token in step]
            return [*example.steps[: self.number - 1], last]
        return example.steps[: self.number]


class DecodedSteps(BaseMethod):
    """A method whose latents stand for steps, which a decoder may learn to read."""

    step_decoder: StepDecoder | None = Field(
        None, description="learns to read the steps from their latents, and is dropped after training; null: none"
    )

    @abstractmethod
    def groups(self, stage: Stage) -> Groups:
        """Return which steps the latents of a stage stand for."""

    def own_loss(self, learner: Learner, micro: MicroBatch) -> tuple[Tensor, ModelOutput]:
        """Return the method's share of the loss without the decoder's, and the output over `micro.batch`."""
        from thoughtscope.latents.scoring import loss_sum

        output = learner.forward(micro.batch)
        return loss_sum(learner.model, output, micro.batch) / micro.counts.labels, output

    def auxiliary(self, model: Any) -> nn.Module | None:
        """Return the decoder before it trains: a copy of the model."""
        return None if self.step_decoder is None else copy.deepcopy(model)

    def companions(self, stage: Stage, example: Example, ids: TokenIds) -> dict[str, list[TokenSequence]]:
        """Return what the decoder reads of an example, one sequence for each step that latents stand for.

        Each begins with as many places as latents stand for the step.
        """
        groups = self.groups(stage)
        if self.step_decoder is None or self.latent_token is None or not groups.number:
            return {}
        places, end = [ids[self.latent_token]] * groups.latents, example.answer[-1]
        return {STEPS: [sequence(example.example_id, places, [*step, end]) for step in groups.steps(example)]}

    def loss(self, learner: Learner, micro: MicroBatch) -> Tensor:
        """Return the method's own loss and, with a decoder, its weighted cross-entropy."""
        own, output = self.own_loss(learner, micro)
        if self.step_decoder is None or not any(STEPS in row.companions for row in micro.rows):
            return own
        counts = micro.counts.companions if self.step_decoder.per == "step" else micro.counts.companion_labels
        return own + self.step_decoder.weight * reading_loss(learner, micro, output) / max(1, counts[STEPS])

    def readings(self, learner: Learner, stage: Stage, examples: Sequence[Example], ids: TokenIds) -> list[Reading]:
        """Return what the decoder writes for each group of latents of each question."""
        from thoughtscope.latents.packing import pack

        groups = self.groups(stage)
        if self.step_decoder is None or learner.fill is None or not groups.number or not examples:
            return []
        prompts = [self.prompt(stage, one, ids) for one in examples]
        batch = pack(prompts, learner.fill.settings, device=learner.model.device)
        output = learner.forward(batch)
        rows = [row for row in range(len(examples)) for _ in range(groups.number)]
        fed = vectors_of_groups(output, batch, prompts, rows, groups.latents)
        written = write(learner, fed, examples[0].answer[-1], self.step_decoder.max_tokens)
        found = []
        for i, (row, read) in enumerate(zip(rows, written, strict=True)):
            k, steps = i % groups.number, groups.steps(examples[row])
            found.append(Reading(examples[row], k + 1, steps[k] if k < len(steps) else [], read))
        return found


def reading_loss(learner: Learner, micro: MicroBatch, output: ModelOutput) -> Tensor:
    """Return the decoder's cross-entropy, summed over the tokens of all steps and their EOS, in nats.

    Args:
        output: of the model over `micro.batch`.
    """
    import torch

    from thoughtscope.latents.passes import run_passes
    from thoughtscope.latents.scoring import loss_sum

    rows, found = micro.companions(STEPS)
    if not found:
        return torch.zeros((), device=output.last.device)
    batch, latents = learner.pack(found), found[0].prompt_length
    fed = vectors_of_groups(output, micro.batch, [row.sequence for row in micro.rows], rows, latents)
    embedded = learner.model.get_input_embeddings()(batch.token_ids)
    inputs: Tensor = embedded.index_copy(0, batch.index[:, :latents].flatten(), fed.flatten(0, 1).to(embedded.dtype))

    def feed(own: Tensor, one: Pass, made: States) -> Tensor:
        return inputs[one.span]

    total: Tensor = loss_sum(learner.auxiliary, run_passes(learner.auxiliary, batch, (), feed), batch)
    return total


def vectors_of_groups(
    output: ModelOutput, batch: Batch, sequences: Sequence[TokenSequence], rows: Sequence[int], latents: int
) -> Tensor:
    """Return the vectors that were fed at each group of latents, ``[groups, latents, d]``.

    Args:
        sequences: that `batch` holds.
        rows: for each group, the row that it is a part of; the k-th group of a row is its k-th `latents` latents.
    """
    import torch

    places = [[t for t, latent in enumerate(one.is_latent) if latent] for one in sequences]
    left = [iter(one) for one in places]
    at = [[next(left[row]) for _ in range(latents)] for row in rows]
    device = batch.index.device
    tokens = batch.index[torch.tensor(rows, device=device)[:, None], torch.tensor(at, device=device)]
    vectors: Tensor = output.inputs[tokens]
    return vectors


def write(learner: Learner, vectors: Tensor, eos_id: int, most: int) -> list[list[int]]:
    """Return the ids that the decoder writes greedily after vectors ``[n, latents, d]``, up to EOS or `most` ids."""
    import torch

    decoder, embed = learner.auxiliary, learner.model.get_input_embeddings()
    written: list[list[int]] = [[] for _ in vectors]
    open_rows = set(range(len(written)))
    with torch.no_grad():
        for _ in range(most):
            tokens = decoder(inputs_embeds=vectors, use_cache=False).logits[:, -1].argmax(-1)
            for row, token in enumerate(tokens.tolist()):
                if token == eos_id:
                    open_rows.discard(row)
                elif row in open_rows:
                    written[row].append(token)
            if not open_rows:
                break
            vectors = torch.cat([vectors, embed(tokens)[:, None].to(vectors.dtype)], dim=1)
    return written
