"""What `make_table` is told. Knows nothing about how a table is made."""

from __future__ import annotations

from pydantic import Field

from thoughtscope.settings import Count, Positive, Probability, Strict


class Published(Strict):
    """An accuracy that was published elsewhere, to stand beside ours."""

    backbone: str
    method: str
    split: str = Field("mean", description="a test set, or mean")
    accuracy: Probability
    source: str


class TableSettings(Strict):
    """Settings of every table."""

    confidence: Probability = Field(0.95, description="level of every interval")
    solved_at: Probability | None = Field(
        0.95, description="final accuracy from which a seed solves its task; null: runs do not either solve it or fail"
    )
    methods: dict[str, str] = Field({}, description="each method's name as figures print it")
    most: Positive = Field(256, description="vectors that a statistic of hidden states uses at most")
    fewest: Positive = Field(50, description="questions that must reach a step before it gets numbers")
    resamples: Positive = Field(100, description="resamples behind an interval of hidden states or activity")
    baseline: str = Field("cot", description="benchmark: the method that others are compared with, pair by pair")
    published: list[Published] = Field([], description="benchmark: accuracies that stand beside ours")
    seed: Count = Field(0, description="of all resampling")

    def enough(self, examples: int) -> int:
        """Return how many of `examples` questions must reach a step: `fewest`, or half of them if that is less."""
        return max(4, min(self.fewest, examples // 2))
