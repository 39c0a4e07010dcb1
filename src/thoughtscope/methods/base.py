"""The base of all methods: the keys of a method file, and the functions that a kind of method defines.

A method works on token ids; only its loss uses the model.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from thoughtscope.latents.layout import TokenSequence
from thoughtscope.methods.curriculum import Example, Stage, TokenIds
from thoughtscope.methods.minibatch import Learner, MicroBatch, Reading, cross_entropy
from thoughtscope.settings import Look, Strict

if TYPE_CHECKING:
    from torch import Tensor, nn


class BaseMethod(Strict):
    """A method: a curriculum of stages, and the layout of an example in each of them.

    A subclass named `Settings` in a module `methods/my_method.py` is the kind `my-method` of a method file. It sets
    `kind: Literal["my-method"]`, adds keys of its own, and defines `stages`, `layout` and `prompt`; a method that adds
    tokens also defines `tokens` and, if it has latents, `latent_token`. A method with a loss of its own defines `loss`,
    and `companions` or `auxiliary` if the loss reads further sequences or trains further modules.

    Attributes:
        trains: whether a run of the method has updates; if not, it measures the backbone as it is.
    """

    trains: ClassVar[bool] = True

    kind: str
    label: str = Field("", description="the name of the method in figures")
    look: Look | None = Field(None, description="how figures draw it; null: a look that is unused in the figure")
    yoked_to: str | None = Field(
        None, description="follow the stage switches that this method realised on the same backbone and seed"
    )
    initial_rows: dict[str, str] = Field(
        {}, description="for a token the method adds: text whose last token its embeddings start from; default EOS"
    )
    training: dict[str, Any] = Field({}, description="overrides of the main file's `training`")

    @property
    def tokens(self) -> list[str]:
        """The tokens that the method adds to the vocabulary."""
        return []

    @property
    def latent_token(self) -> str | None:
        """The token at latents, one of `tokens`; None: the method has no latents."""
        return None

    @abstractmethod
    def stages(self, steps: int) -> list[Stage]:
        """Return the curriculum for a task whose longest training example has `steps` reasoning steps."""

    @abstractmethod
    def layout(
        self,
        stage: Stage,
        example: Example,
        ids: TokenIds,
        rng: random.Random,
        probabilities: list[float] | None,
    ) -> TokenSequence:
        """Lay out a training example: prompt and response, latents marked, labels set.

        Args:
            stage: one of `stages`.
            ids: the ids of the tokens that the method adds.
            rng: a generator for this example, stage and epoch.
            probabilities: the probability of each token of `example.response` under the current model; None unless
                `stage.scored`.
        """

    @abstractmethod
    def prompt(self, stage: Stage, example: Example, ids: TokenIds) -> TokenSequence:
        """Return the model's input at test time, which may depend only on `example.prompt` and the stage."""

    def companions(self, stage: Stage, example: Example, ids: TokenIds) -> dict[str, list[TokenSequence]]:
        """Return lists of further sequences of an example that `loss` reads, by name, e.g. what a teacher sees."""
        return {}

    def auxiliary(self, model: Any) -> nn.Module | None:
        """Return modules that train along with the model and are dropped after training; None: there are none.

        Args:
            model: a Transformers causal LM, with the method's tokens and, in a LoRA run, its adapter.
        """
        return None

    def loss(self, learner: Learner, micro: MicroBatch) -> Tensor:
        """Return a micro-batch's share of the loss of an update, a scalar ``[]``; by default the cross-entropy.

        Raises:
            UserError: a row has no label.
        """
        return cross_entropy(learner, micro)

    def readings(self, learner: Learner, stage: Stage, examples: Sequence[Example], ids: TokenIds) -> list[Reading]:
        """Return what the auxiliary modules read at the latents of questions, once training has ended."""
        return []

    @model_validator(mode="after")
    def _name_added_tokens_only(self) -> BaseMethod:
        known = f"use one of {', '.join(self.tokens)}" if self.tokens else "remove it"
        for token in self.initial_rows:
            if token not in self.tokens:
                raise ValueError(f"initial_rows: the method adds no token {token!r}: {known}")
        if self.latent_token is not None and self.latent_token not in self.tokens:
            raise ValueError(f"kind: its latent token {self.latent_token!r} is none of its tokens: {known}")
        return self
