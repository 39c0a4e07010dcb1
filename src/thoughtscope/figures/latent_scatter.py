"""The k-th latents of responses in three principal components, with a panel for each k."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from thoughtscope.figures.scatter import Latents, Projection, Scatter
from thoughtscope.settings import Positive

if TYPE_CHECKING:
    from thoughtscope.figures.base import Drawn


PANELS = 4


class Steps(Projection):
    """Settings: which latents are drawn, and how they are projected."""

    steps: Annotated[list[Positive], Field(min_length=1, max_length=32)] = Field(
        [1, 3, 4, 6], description="which latents of a response: with `panels: steps` at most four, one panel each"
    )
    panels: Literal["steps", "roles"] = Field(
        "steps", description="a panel for each step, or for each of the four most frequent roles that latents precede"
    )

    @model_validator(mode="after")
    def _panels_are_four(self) -> Steps:
        if self.panels == "steps" and len(self.steps) > PANELS:
            raise ValueError(f"{len(self.steps)} steps do not fit into {PANELS} panels: name fewer, or panels: roles")
        return self

    @property
    def latents(self) -> list[int]:
        """The indices of the latents to read, from 1."""
        return self.steps


class LatentScatter(Scatter):
    """A panel for each step, or for each role that latents precede, at the end of training."""

    FURTHER = ("effects",)
    Settings = Steps
    CAPTION = """
    Latents by step. Each point is the vector at the k-th latent of one response to a test question, freely
    generated with the trained model; each panel shows one k. All panels share one PCA unless the note under the
    legend says otherwise, so distances compare across panels. Each panel prints how many responses reach step k,
    and their share of the questions; methods that choose how many latents they make thin out. A method that places
    its latents itself may have step k at one fixed place of the response, so panels need not compare latents of
    like roles: each panel prints what most of its latents precede, and the CSV has it for every point; with
    ``panels: roles`` each panel shows the latents before one kind of token instead. A panel calls latents inert
    whose exchange between questions changes no answer (``interventions.csv``); where nothing is said, that was not
    tested or is not so. Read the claim from ``collapse.csv`` and ``separation.csv``: three components show only the
    share of variance that the note names, and any two trained networks differ by some distance (column ``floor``).
    """
    settings: Steps

    def draw(self, data: Latents) -> Drawn:
        """Return the figure and its points, from the last checkpoint of each method."""
        from thoughtscope.figures.projection import Panel
        from thoughtscope.figures.scatter_panels import draw_panels

        table = data.table
        last = table.groupby("method")["checkpoint_step"].transform("max")
        final = (table["checkpoint_step"] == last).to_numpy()
        if self.settings.panels == "roles":
            return self._by_role(data, final)
        reached = (
            (step, (table["latent_index"] == step).fillna(False).to_numpy(dtype=bool)) for step in self.settings.steps
        )
        panels = [Panel(f"Step {step}", np.flatnonzero(final & rows)) for step, rows in reached]
        return draw_panels(data, self.series, panels, self.settings, self.title)

    def _by_role(self, data: Latents, final: np.ndarray) -> Drawn:
        from thoughtscope.figures.projection import Panel
        from thoughtscope.figures.scatter_panels import draw_panels

        roles = data.table["next_role"].fillna("the end")
        names = roles[final].value_counts().index[:PANELS]
        panels = [Panel(f"Before {name}", np.flatnonzero(final & (roles == name).to_numpy())) for name in names]
        without_shares = replace(data, questions=dict.fromkeys(data.questions, 0))
        return draw_panels(without_shares, self.series, panels, self.settings, self.title)
