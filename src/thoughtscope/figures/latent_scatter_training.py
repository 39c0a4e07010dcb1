"""One latent at four checkpoints of training, with a panel for each, in three principal components.

The kept checkpoints of each method are at the same fractions of the way from its first latent stage to its end, so that
a panel compares methods at equal progress.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from thoughtscope.errors import UserError
from thoughtscope.figures.scatter import Latents, Projection, Scatter
from thoughtscope.settings import Positive

if TYPE_CHECKING:
    from thoughtscope.figures.base import Drawn

PANELS = 4


class OneStep(Projection):
    """Settings: which latent is drawn, and how it is projected."""

    step: Positive = Field(1, description="the latent (k) to draw")

    @property
    def latents(self) -> list[int]:
        """The indices of the latents to read, from 1."""
        return [self.step]


class LatentScatterTraining(Scatter):
    """A panel for each of four kept checkpoints."""

    Settings = OneStep
    CAPTION = """
    One latent while training. As the scatter by step, but each panel shows the same latent at one kept checkpoint.
    Panels stand at the same fractions of each method's way from its first latent stage to its end; where these are
    different updates, the title gives one for each method, in the order of the legend. Whether that latent carries
    something that the answer needs is not tested here.
    """
    settings: OneStep

    def draw(self, data: Latents) -> Drawn:
        """Return the figure and its points. A method without latents at a checkpoint has no points in its panel.

        Raises:
            UserError: a method has fewer than four checkpoints.
        """
        from thoughtscope.figures.projection import Panel
        from thoughtscope.figures.scatter_panels import draw_panels

        table = data.table
        chosen = (table["latent_index"] == self.settings.step).fillna(False).to_numpy(dtype=bool)
        steps = {name: _checkpoints(name, data.checkpoints[name]) for name in self.series if name in data.questions}
        panels = []
        for place in range(PANELS):
            wanted = table["method"].map({name: own[place] for name, own in steps.items()})
            rows = np.flatnonzero(chosen & (table["checkpoint_step"] == wanted).to_numpy(dtype=bool))
            panels.append(Panel(_panel_title([own[place] for own in steps.values()]), rows))
        return draw_panels(data, self.series, panels, self.settings, self.title)


def _checkpoints(method: str, steps: Sequence[int]) -> list[int]:
    """Return four checkpoints of a method, evenly spaced if it has more."""
    found = sorted(set(steps))
    if len(found) < PANELS:
        raise UserError(
            f"latent_scatter_training: {method}",
            f"{len(found)} checkpoints are kept, {PANELS} are drawn",
            "name four fractions in training.keep_checkpoints",
        )
    return [found[round(place * (len(found) - 1) / (PANELS - 1))] for place in range(PANELS)]


def _panel_title(updates: list[int]) -> str:
    several = sorted(set(updates))
    return f"Update {several[0]}" if len(several) == 1 else f"Updates {' / '.join(map(str, updates))}"
