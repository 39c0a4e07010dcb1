"""Accuracy during training: a line for each backbone, all trained in the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from thoughtscope.errors import UserError
from thoughtscope.figures.accuracy import AccuracyFigure, curves

if TYPE_CHECKING:
    from thoughtscope.figures.base import Drawn


class AccuracyBackbones(AccuracyFigure):
    """A line for each backbone, all trained in the same way."""

    SERIES = "backbones"
    SHARED = ("task", "method", "trainable")
    CAPTION = """
    Accuracy on held-out test questions against the optimiser step, step 0 included: one line for each backbone, with
    the same method and data order, and equal updates unless a backbone's file sets its own.
    """

    def draw(self, data: pd.DataFrame) -> Drawn:
        """Return the figure and its points: a line for each backbone.

        Args:
            data: `schemas.ACCURACY` of one task, one method and one trainable.

        Raises:
            UserError: live and frozen runs are mixed.
        """
        from thoughtscope.figures.accuracy_lines import draw_lines

        if data["trainable"].nunique() > 1:
            raise UserError("accuracy_backbones", "its runs mix live and frozen", "name one trainable in its runs")
        points = curves(data, self.series, ("backbone",), self.settings)
        return draw_lines(points, self.series, 0.0, "upper right", self.settings, self.title), points
