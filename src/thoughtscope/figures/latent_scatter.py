"""The k-th latents of responses in three principal components, with a panel for each k."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from thoughtscope.figures.scatter import Latents, Projection, Scatter
from thoughtscope.settings import Positive

if TYPE_CHECKING:
    from thoughtscope.figures.base import Drawn


class Steps(Projection):
    """Settings: which latents are drawn, and how they are projected."""

    steps: Annotated[list[Positive], Field(min_length=1, max_length=4)] = Field(
        [1, 3, 4, 6], description="the latents (k) to draw, one panel each"
    )

    @property
    def latents(self) -> list[int]:
        """The indices of the latents to read, from 1."""
        return self.steps


class LatentScatter(Scatter):
    """A panel for each step, at the end of training."""

    Settings = Steps
    CAPTION = """
    Latents by step. Each point is the vector at the k-th latent of one response to a test question, freely generated
    with the trained model; each panel shows one k. All panels share one PCA unless the note under the legend says
    otherwise, so distances compare across panels. Each panel prints how many responses reach step k, and their share
    of the questions; methods that choose how many latents they make thin out. A method that places its latents itself
    may have step k at one fixed place of the response, so panels need not compare latents of like roles: each panel
    prints what most of its latents precede, and the CSV has it for every point. Whether a latent carries something
    that the answer needs is not tested here. Read the claim from ``collapse.csv`` and ``separation.csv``: three
    components show only the share of variance that the note names, and any two trained networks differ by some
    distance (column ``floor``).
    """
    settings: Steps

    def draw(self, data: Latents) -> Drawn:
        """Return the figure and its points, from the last checkpoint of each method."""
        from thoughtscope.figures.projection import Panel
        from thoughtscope.figures.scatter_panels import draw_panels

        table = data.table
        last = table.groupby("method")["checkpoint_step"].transform("max")
        final = (table["checkpoint_step"] == last).to_numpy()
        reached = (
            (step, (table["latent_index"] == step).fillna(False).to_numpy(dtype=bool)) for step in self.settings.steps
        )
        panels = [Panel(f"Step {step}", np.flatnonzero(final & rows)) for step, rows in reached]
        return draw_panels(data, self.series, panels, self.settings, self.title)
