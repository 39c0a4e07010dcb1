"""What a kind of method offers: the names and arguments of a module of this package.

A module `methods/my_kind.py` that has all of these is the kind `my-kind` of a method file; no list is extended.
"""

from __future__ import annotations

import random
from typing import Any, Protocol

from thoughtscope.latents.layout import TokenSequence
from thoughtscope.methods.curriculum import Example, MethodSettings, Stage, TokenIds

AFFECTS_RESULTS = False


class Contract(Protocol):
    """A module that is a kind of method. It sees token ids, never a model.

    Attributes:
        Settings: the keys of a method file; a subclass of `MethodSettings`.
    """

    Settings: type[MethodSettings]

    def stages(self, settings: Any, steps: int) -> list[Stage]:
        """Return the curriculum for a task whose longest training example has `steps` steps."""

    def tokens(self, settings: Any) -> list[str]:
        """Return the tokens that the method adds to the vocabulary."""

    def latent_token(self, settings: Any) -> str | None:
        """Return the token, one of `tokens`, that stands at latents; None: the method has no latents."""

    def layout(
        self,
        settings: Any,
        stage: Stage,
        example: Example,
        ids: TokenIds,
        random_numbers: random.Random,
        probabilities: list[float] | None,
    ) -> TokenSequence:
        """Lay out a training example: prompt and response, latents marked, labels set.

        Args:
            ids: of the tokens that the method adds.
            random_numbers: the example's own generator, new in each stage and epoch.
            probabilities: of each token of `example.response` under the current model; None unless `stage.scored`.
        """

    def prompt(self, settings: Any, stage: Stage, example: Example, ids: TokenIds) -> TokenSequence:
        """Return what is given at test time; it must depend on `example.prompt` and the stage alone."""
