"""sampling.csv: what several drawn responses to a question are worth: pass@k and majority votes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from thoughtscope import schemas
from thoughtscope.errors import UserError
from thoughtscope.settings import Probability, Strict
from thoughtscope.statistics import bootstrap_interval, wilson_interval
from thoughtscope.tables.base import Table
from thoughtscope.tables.identity import as_table, named, run_of


class Level(Strict):
    """The level of the intervals."""

    confidence: Probability = 0.95


class Sampling(Table):
    """One row for each run and number of responses."""

    READS = "runs"
    Settings = Level
    COLUMNS = [
        "k",
        "samples",
        "n",
        *(f"{measure}{end}" for measure in ("pass_at_k", "majority") for end in ("", "_low", "_high")),
        "unread",
    ]
    CAPTION = """
    What k drawn responses to a question are worth, for each run: pass@k, the chance that one of k is right, without
    bias from all responses that were drawn (arXiv 2107.03374), with a bootstrap interval over questions; the share of
    questions whose most frequent answer among the first k is right (self-consistency, arXiv 2203.11171; of equally
    frequent ones, the answer that was drawn first), with its Wilson interval; and the share of responses without an
    answer, which have no vote.
    """
    settings: Level

    def make(self, folders: Sequence[Path]) -> pd.DataFrame:
        """Return the rows of each run, for k = 1, 2, 4, ... and all responses.

        Raises:
            UserError: a run drew no responses.
        """
        return as_table((row for folder in folders for row in self._rows(folder)), self.COLUMNS)

    def _rows(self, folder: Path) -> Iterator[dict[str, Any]]:
        frame = schemas.read(folder / "samples.parquet", schemas.SAMPLES).to_pandas()
        if frame.empty:
            raise UserError(str(folder), "it drew no responses", "set evaluation.sampling, and train it again")
        wide = frame.sort_values("sample").groupby("example_id")
        correct = np.array([part["correct"].to_list() for _, part in wide])
        answers = [part["predicted"].to_list() for _, part in wide]
        n, samples = correct.shape
        for k in sorted({*(2**i for i in range(samples.bit_length())), samples}):
            chances = pass_at_k(correct.sum(1), samples, k)
            low, high = bootstrap_interval(lambda drawn: chances[drawn].mean(), n, self.settings.confidence)  # noqa: B023
            voted = sum(majority(said, right) for said, right in zip(answers, correct[:, :k], strict=True))
            bounds = wilson_interval(voted, n, self.settings.confidence)
            yield {
                **named(run_of(folder), self.methods),
                **{"k": k, "samples": samples, "n": n, "unread": frame["predicted"].isna().mean()},
                **{"pass_at_k": chances.mean(), "pass_at_k_low": float(low), "pass_at_k_high": float(high)},
                **{"majority": voted / n, "majority_low": bounds[0], "majority_high": bounds[1]},
            }


def pass_at_k(correct: Any, samples: int, k: int) -> Any:
    """Return, for each question ``[n]``, the chance that one of k of its `samples` responses is right.

    It is 1 - C(samples - correct, k) / C(samples, k), for k drawn without replacement (arXiv 2107.03374).
    """
    return np.array([1 - comb(samples - int(one), k) / comb(samples, k) for one in correct])


def majority(answers: Sequence[str | None], correct: Sequence[bool]) -> bool:
    """Return whether the most frequent answer is right; of equally frequent ones, the first.

    Args:
        correct: whether each of the first answers is right; the others have no vote.
    """
    votes = [(answer, bool(right)) for answer, right in zip(answers, correct, strict=False) if answer is not None]
    counts = Counter(answer for answer, _ in votes)
    if not counts:
        return False
    most = max(counts.values())
    return next(right for answer, right in votes if counts[answer] == most)
