"""What the page holds. Imports no plotting library: the config shares it."""

from __future__ import annotations

from pydantic import Field

from thoughtscope.evaluation.settings import Intervals
from thoughtscope.settings import Positive


class Explore(Intervals):
    """`results/explore.html`, a page to turn, hover over and filter what a study found."""

    points: Positive = Field(10_000, description="latents drawn at most, as equally many questions of each run")
