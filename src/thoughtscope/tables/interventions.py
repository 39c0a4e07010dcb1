"""interventions.csv: what is answered after a latent was replaced, removed or added."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from pydantic import Field

from thoughtscope import schemas
from thoughtscope.evaluation.settings import Intervals
from thoughtscope.settings import Positive
from thoughtscope.tables.base import Table

NAMES = ["task", "backbone", "method", "label", "trainable", "seeds"]


class Resampled(Intervals):
    """How intervals are found."""

    resamples: Positive = Field(1000, description="resamples of questions behind intervals of log-probabilities")


class Interventions(Table):
    """The effect of each intervention on each latent."""

    READS = "probes"
    PROBE_TABLE = "effects"
    DEFAULT = True
    Settings = Resampled
    COLUMNS = [
        "intervention",
        "latent_index",
        "n",
        "accuracy_before",
        "accuracy",
        "accuracy_change",
        "change_low",
        "change_high",
        "answered",
        "logprob_before",
        "logprob",
        "logprob_change",
        "logprob_low",
        "logprob_high",
        "target",
        "donor_n",
        "donor_share",
        "donor_low",
        "donor_high",
    ]
    CAPTION = """
    What is answered after one latent is replaced (by zeros, noise of equal norm, the mean over questions, or another
    question's vector; ``swap``: in exchange with a question whose intermediate values all differ), after latents are
    removed (``remove``: from this one on), or when some are added (``add``: up to this one). Changes are paired by
    question; with several seeds the interval allows for other seeds. ``donor_share`` is the share of answers that
    follow from the value that the donor's step ``target`` reached, for the target with the largest share. A latent
    that can be replaced without loss is not used on these questions, whatever a probe reads at it; one that cannot be
    replaced by zeros may only be needed as an ordinary vector at its place, which ``mean``, ``other`` and ``swap``
    tell apart.
    """
    settings: Resampled

    def make(self, folders: Sequence[Path]) -> pd.DataFrame:
        """Return a row for each group of runs that differ in their seed, intervention and latent.

        - latent_index: the changed latent, counted from 1. `remove`: the first that is gone; `add`: the number of
          latents. Responses that have no such latent are not counted.
        - n: questions; accuracy_before: theirs without intervention, the mean over seeds; accuracy, accuracy_change:
          with it.
        - answered: share of responses that give an answer; logprob_before, logprob, logprob_change: mean
          log-probability in nats of the gold answer where they do, without and with the intervention.
        - target, donor_n, donor_share: the step whose value the answers follow most (0: the donor's answer, where the
          task does not say what follows from a value), the answers whose donor has another value there, and the share
          that follows it.
        - _low, _high: intervals over questions and, of several seeds, other seeds.
        """
        from thoughtscope.evaluation.effects import effect_rows

        frames = [
            schemas.read_any(folder / "tables/effects.parquet", ("differs", "follows")).to_pandas()
            for folder in folders
        ]
        effects = pd.concat(frames, ignore_index=True)
        rows = effect_rows(effects, self.settings.confidence, resamples=self.settings.resamples)
        labelled = ({**row, "label": self.methods.get(row["method"], row["method"])} for row in rows)
        return pd.DataFrame(labelled, columns=[*NAMES, *self.COLUMNS])
