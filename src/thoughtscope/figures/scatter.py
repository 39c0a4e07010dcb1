"""The base of latent scatters: their settings, and the vectors they read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from thoughtscope.errors import UserError
from thoughtscope.evaluation.effects import inert_latents
from thoughtscope.figures.base import Figure, further
from thoughtscope.hidden_states.read import STATES, describe_states, read_vectors
from thoughtscope.run_id import RunId
from thoughtscope.settings import Positive, Strict

COLUMNS = ["method", "label", "example_id", "latent_index", "checkpoint_step", "next_token", "next_role"]


class Projection(Strict):
    """How vectors are projected on three dimensions."""

    vectors: Literal["input", "output"] = Field(
        "input", description="the vector that is fed at a latent, or the hidden state there"
    )
    layer: int | None = Field(None, ge=0, description="for kind output; null: the state after the final norm")
    unit_norm: bool = Field(False, description="scale vectors to length 1 before projecting")
    pca: Literal["common", "panel"] = Field("common", description="one PCA for all panels, or one for each panel")
    fewest: Positive = Field(50, description="a panel with fewer points has a warning")

    @model_validator(mode="after")
    def _what_is_fed_has_no_layer(self) -> Projection:
        if self.vectors == "input" and self.layer is not None:
            raise ValueError("layer is of hidden states: set vectors: output, or leave layer out")
        return self

    @property
    @abstractmethod
    def latents(self) -> list[int]:
        """The indices of the latents to read, from 1."""


@dataclass(frozen=True)
class Latents:
    """Vectors at the latents of the responses of several methods.

    Attributes:
        table: a row for each vector: method, label, example_id, latent_index (null for text), checkpoint_step, and
            next_token and next_role of the text token that follows.
        vectors: ``[n, width]``, in the order of `table`.
        questions: the number of questions that each method answered.
        checkpoints: the updates of the kept checkpoints of each method.
        inert: for each method whose latents were exchanged between questions, those where that changed nothing.
    """

    table: pd.DataFrame
    vectors: np.ndarray
    questions: Mapping[str, int]
    checkpoints: Mapping[str, Sequence[int]]
    inert: Mapping[str, Sequence[int]] = field(default_factory=dict)


class Scatter(Figure):
    """Latents in three principal components; subclasses decide what the panels show."""

    READS = "hidden_states"
    SERIES = "methods"
    SHARED = ("task", "backbone", "trainable", "seed")
    settings: Projection

    def read(self, folders: Sequence[Path]) -> Latents:
        """Return the vectors of the latents that the settings name.

        Raises:
            UserError: two folders of one method, or vectors of different widths.
        """
        parts, vectors, questions, checkpoints = [], [], {}, {}
        effects = further(folders, "effects")
        for folder in (one for one in folders if (one / STATES).is_file()):
            method, facts = RunId.parse("/".join(folder.parts[-5:])).method, describe_states(folder)
            if method in questions:
                raise UserError("figure", f"several runs of {method}", "name one task, backbone, trainable and seed")
            questions[method], checkpoints[method] = int(facts["examples"]), list(facts["checkpoints"])
            label = self.series[method].label if method in self.series else method
            for step in self.settings.latents:
                found, rows = read_vectors(folder, self.settings.vectors, self.settings.layer, latent_index=step)
                vectors.append(found)
                parts.append(rows.assign(method=method, label=label))
        widths = {part.shape[1] for part in vectors}
        if len(widths) > 1:
            raise UserError("figure", f"vectors of widths {sorted(widths)}", "draw runs of one backbone")
        table = pd.concat(parts, ignore_index=True)[COLUMNS]
        unused = {} if effects is None else inert_latents(effects)
        return Latents(table, np.concatenate(vectors), questions, checkpoints, unused)
