"""What a method computes its loss from: the examples that are trained at once, and the model. Imports no torch.

An update sees a global batch of examples, split into micro-batches over ranks and accumulation steps. The loss of a
micro-batch is its share of the loss of the update: sums over its own tokens or examples, divided by the `Counts` of the
global batch. Shares then add up, however the batch is split.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from thoughtscope.latents.layout import TokenSequence, labelled_tokens
from thoughtscope.methods.curriculum import Example

if TYPE_CHECKING:
    from torch import Tensor

    from thoughtscope.latents.fill import Fill
    from thoughtscope.latents.packing import Batch
    from thoughtscope.latents.passes import ModelOutput


@dataclass(frozen=True)
class Row:
    """A training example as its method lays it out.

    Attributes:
        example: what was laid out.
        sequence: prompt and response with latents, as `BaseMethod.layout` returns it.
        companions: lists of further sequences that the loss reads, by name, as `BaseMethod.companions` returns them.
    """

    example: Example
    sequence: TokenSequence
    companions: Mapping[str, Sequence[TokenSequence]] = field(default_factory=dict)

    @property
    def all(self) -> Iterator[TokenSequence]:
        """The sequence and its companions."""
        yield self.sequence
        for found in self.companions.values():
            yield from found


@dataclass(frozen=True)
class Counts:
    """Sizes of a global batch, which losses are divided by.

    Attributes:
        examples: how many there are.
        labels: labelled tokens of all `Row.sequence`.
        companions: how many companions of each name there are.
        companion_labels: labelled tokens of the companions of each name.
    """

    examples: int
    labels: int
    companions: Mapping[str, int]
    companion_labels: Mapping[str, int]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Counts:
        """Return the counts of a global batch."""
        found: dict[str, list[TokenSequence]] = {}
        for row in rows:
            for name, companions in row.companions.items():
                found.setdefault(name, []).extend(companions)
        sizes = {name: len(companions) for name, companions in found.items()}
        labels = {name: labelled_tokens(companions) for name, companions in found.items()}
        return cls(len(rows), labelled_tokens(row.sequence for row in rows), sizes, labels)


@dataclass(frozen=True)
class MicroBatch:
    """The examples that one forward and backward pass trains on.

    Attributes:
        rows: the examples; `batch` holds their sequences, packed in the same order.
        counts: of the global batch.
    """

    rows: Sequence[Row]
    batch: Batch
    counts: Counts

    def companions(self, name: str) -> tuple[list[int], list[TokenSequence]]:
        """Return all companions of this name, and before them the index of each one's row."""
        found = [(i, one) for i, row in enumerate(self.rows) for one in row.companions.get(name, ())]
        return [i for i, _ in found], [one for _, one in found]


@dataclass(frozen=True)
class Learner:
    """The model that trains.

    Attributes:
        model: a Transformers causal LM.
        fill: what is fed at latents, with its trained parameters; None: the batch has no latents.
        auxiliary: as `BaseMethod.auxiliary` returned it.
        recompute: see `latents.forward.forward`.
    """

    model: Any
    fill: Fill | None = None
    auxiliary: Any = None
    recompute: bool = False

    def forward(self, batch: Batch, layers: Iterable[int] = ()) -> ModelOutput:
        """Run the model over `batch`; see `latents.forward.forward`."""
        from thoughtscope.latents.forward import forward

        return forward(self.model, batch, self.fill, layers, recompute=self.recompute)

    def pack(self, sequences: Sequence[TokenSequence]) -> Batch:
        """Pack sequences without latents, up to their last labels."""
        from thoughtscope.latents.packing import pack

        return pack(sequences, None, for_labels=True, device=self.model.device)


@dataclass(frozen=True)
class Reading:
    """What an auxiliary module reads at latents of an example.

    Attributes:
        step_index: which of its steps they stand for, counted from 1.
        step: the ids of that step; empty if the example has no such step.
        read: the ids that were read, without EOS.
    """

    example: Example
    step_index: int
    step: list[int]
    read: list[int]


def cross_entropy(learner: Learner, micro: MicroBatch) -> Tensor:
    """Return the cross-entropy of the labelled tokens of `micro.rows`, in nats, over those of the global batch."""
    from thoughtscope.latents.scoring import loss_sum

    return loss_sum(learner.model, learner.forward(micro.batch), micro.batch) / micro.counts.labels
