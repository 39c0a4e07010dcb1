"""Accuracy during training: a backbone with all parameters trained (live) and backbones with LoRA adapters (frozen)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from thoughtscope.figures.accuracy import AccuracyFigure, curves

if TYPE_CHECKING:
    from thoughtscope.figures.base import Drawn


class AccuracyLiveFrozen(AccuracyFigure):
    """A line for each trainable and backbone."""

    SERIES = "lines"
    SHARED = ("task", "method")
    CAPTION = """
    Accuracy on held-out test questions against the optimiser step, step 0 included. The live line trains every
    parameter of its backbone, frozen lines train an adapter on a fixed backbone, often with other updates and another
    learning rate: read the two kinds as two recipes.
    """

    def draw(self, data: pd.DataFrame) -> Drawn:
        """Return the figure and its points: a line for each (trainable, backbone).

        Args:
            data: `schemas.ACCURACY` of one task and one method.
        """
        from thoughtscope.figures.accuracy_lines import draw_lines

        points = curves(data, self.series, ("trainable", "backbone"), self.settings)
        return draw_lines(points, self.series, 0.2, "lower right", self.settings, self.title), points
