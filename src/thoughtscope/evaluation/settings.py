"""What `make_table` is told. Knows nothing about how a table is made."""

from __future__ import annotations

from pydantic import Field

from thoughtscope.settings import Count, Positive, Probability, Strict


class TableSettings(Strict):
    """Settings of every table."""

    confidence: Probability = Field(0.95, description="level of every interval")
    methods: dict[str, str] = Field({}, description="each method's name as figures print it")
    most: Positive = Field(256, description="vectors that a statistic of hidden states uses at most")
    fewest: Positive = Field(50, description="questions that must reach a step before it gets numbers")
    resamples: Positive = Field(100, description="resamples behind an interval of hidden states or activity")
    seed: Count = Field(0, description="of all resampling")

    def enough(self, examples: int) -> int:
        """Return how many of `examples` questions must reach a step: `fewest`, or half of them if that is less."""
        return max(4, min(self.fewest, examples // 2))
