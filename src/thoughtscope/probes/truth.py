"""Truth probes: for each layer and direction, how well true and false statements about other subjects are separated.

Directions are fitted on plain (not negated) statements of the training subjects and tested on rows by `subset`:

    all             plain statements about the test subjects
    negated         negated statements about them: tests whether the direction follows truth or only whether the
                    description fits the subject
    length-matched  a subset of `all` with as many true as false statements of every length
    unseen          of `facts`: statements, true and false, whose text the backbone never read
    guessed         of `facts`: statements, true and false, that it read equally often, each with its verdict
    phrasing        of `people`: statements about the test subjects in words that no direction was fitted on
    surprisal-out   `all`, after removing what surprisal explains linearly from the training vectors and the test
                    scores. Surprisal is taken in excess of the means of its subject and its predicate. Without this, a
                    state that has only the predicate would pass, because it tells how surprising the predicate is of
                    anybody.

Each subset has two controls that read no layer: `surprisal-only` (the less surprising, the truer) and `text-only`
(single words and pairs of words, without a model). In a row without values, `note` says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from thoughtscope.errors import UserError
from thoughtscope.probes.directions import Training, fit
from thoughtscope.probes.pairing import codes, excess, exchangeable, subject_pairs
from thoughtscope.probes.permutation import Family, Resampling, auroc, permuted_labels
from thoughtscope.probes.settings import TruthSettings
from thoughtscope.probes.statements import Array, Rows, Statements, Vectors, length_matched, without

SURPRISAL, TEXT = "surprisal-only", "text-only"
CONTROLLED = "surprisal-out"
OWN = {"train", "test", "calibration", "display"}
REFITTED = ("all", CONTROLLED)  # subsets whose null also has directions fitted to permuted training labels
NO_PAIRS = "left out: no training subject and attribute has both a true and a false statement"
NO_NEGATION = "left out: the task has no negated statements"
ONE_LABEL = "left out: not both true and false statements"
NO_SURPRISAL = "left out: a statement has no surprisal, because nothing comes before its only token"


@dataclass
class Subset:
    """Test statements and the family of AUROCs measured on them.

    Attributes:
        places: ``[n]``, indices into the tested statements.
        labels: ``[n]``, 1 if the statement is true.
        excess: ``[n, 2]``, mean and last surprisal without the effects of subject and predicate.
        rows: the columns of each AUROC, in the order of the family.
    """

    places: Rows
    labels: NDArray[np.int64]
    excess: Array
    family: Family
    resampling: Resampling
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, scores: Array, rows: list[dict[str, Any]], confidence: float) -> Array:
        """Add scores ``[n, k]`` with their `rows`, and return their AUROCs ``[k]``."""
        found = self.family.add(scores)
        for area, column, row in zip(found, scores.T, rows, strict=True):
            low, high = self.resampling.interval(column, confidence)
            row.update(n=len(self.labels), auroc=float(area), ci_low=low, ci_high=high)
        self.rows += rows
        return found


class TruthProbe:
    """Fits and tests directions of whole statements: call `add` with each layer, then `rows`."""

    def __init__(self, statements: Statements, settings: TruthSettings) -> None:
        """Choose training and test statements.

        Raises:
            UserError: a split lacks true or false plain statements.
        """
        self.statements, self.settings = statements, settings
        self.others = sorted(set(statements.rows["split"]) - OWN)  # each split is a subset
        self.train = statements.where("train", negated=False)
        plain, negated = (statements.where("test", negated=turned) for turned in (False, True))
        for split, rows in (("train", self.train), ("test", plain)):
            if len(set(statements.labels(rows))) < 2:
                problem = f"the {len(rows)} plain statements of split {split} are not both true and false"
                raise UserError("probe: task", problem, "give more statements, or another seed of the task")
        self.test = np.concatenate([plain, negated, *(statements.where(name, False) for name in self.others)])
        frame = statements.rows.iloc[self.train]
        self.pairs = subject_pairs(frame)
        self.permuted = permuted_labels(statements.labels(self.train), exchangeable(frame), settings.permutations)
        self.notes = [] if len(self.pairs) else [note_row("pca-of-pairs", "all", NO_PAIRS)]
        self.subsets = dict(self._subsets(plain, negated))
        self.excess = excess(frame, statements.surprisals[self.train])
        if np.isnan(statements.surprisals[np.concatenate([self.train, self.test])]).any():
            del self.subsets[CONTROLLED]
            self.notes += [note_row(SURPRISAL, "all", NO_SURPRISAL), note_row(None, CONTROLLED, NO_SURPRISAL)]
        self.controls = [*self._controls()]

    def _subsets(self, plain: Rows, negated: Rows) -> Iterator[tuple[str, Subset]]:
        matched = plain[length_matched(self.statements.index.counts[plain], self.statements.labels(plain))]
        chosen = {"all": plain, "negated": negated, "length-matched": matched, CONTROLLED: plain}
        chosen |= {name: self.statements.where(name, False) for name in self.others}
        for name, rows in chosen.items():
            if len(set(self.statements.labels(rows))) == 2:
                yield name, self._subset(rows)
            elif len(rows) or name in ("negated", "length-matched"):
                self.notes.append(note_row(None, name, ONE_LABEL if len(rows) or name != "negated" else NO_NEGATION))

    def _subset(self, rows: Rows) -> Subset:
        frame, labels = self.statements.rows.iloc[rows], self.statements.labels(rows)
        permuted = permuted_labels(labels, exchangeable(frame), self.settings.permutations, seed=1)
        resampling = Resampling(codes(frame, ["subject"]), labels, self.settings.bootstrap)
        places = {int(row): place for place, row in enumerate(self.test)}
        surprisals = excess(frame, self.statements.surprisals[rows])
        chosen = np.array([places[int(row)] for row in rows])
        return Subset(chosen, labels, surprisals, Family(labels, permuted), resampling)

    def _controls(self) -> Iterator[Subset]:
        """Yield a family for each subset and control; a family of one needs no correction for choice."""
        texts = self._text_scores()
        surprisals = -self.statements.surprisals[self.test, 0]
        for name, subset in self.subsets.items():
            for direction, scores in ((SURPRISAL, surprisals), (TEXT, texts)):
                chosen = scores[subset.places][:, None]
                if not np.isnan(chosen).any():
                    family = Family(subset.labels, subset.family.labellings[1:])
                    own = replace(subset, family=family, rows=[])
                    own.add(chosen, [blank_row(direction, None, name)], self.settings.confidence)
                    yield own

    def _text_scores(self) -> Array:
        """Return scores ``[tested]`` of tested statements from their single words and pairs of words alone."""
        texts = self.statements.rows["response"].to_numpy()
        words = CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=r"[\w'-]+|[^\w\s]").fit(
            texts[self.train]
        )
        model = LogisticRegression(max_iter=1000)
        model.fit(words.transform(texts[self.train]), self.statements.labels(self.train))
        scores: Array = model.decision_function(words.transform(texts[self.test]))
        return scores

    def add(self, layer: int, vectors: Vectors) -> None:
        """Fit and test one layer's directions on its states ``[tokens, d]``."""
        seen, tested = (
            self.statements.represented(vectors, rows, self.settings.tokens) for rows in (self.train, self.test)
        )
        plain = [name for name in self.subsets if name != CONTROLLED]
        self._measure(layer, Training.of(seen), tested, plain)
        if CONTROLLED in self.subsets:
            rest = without(self.excess, seen)
            self._measure(layer, Training.of(rest), tested, [CONTROLLED])

    def _measure(self, layer: int, training: Training, tested: Vectors, subsets: list[str]) -> None:
        """Fit directions to `training` and add the scores of the tested states ``[test, d]`` to `subsets`."""
        axes, permuted = fit(training, self.statements.labels(self.train), self.pairs, self.permuted)
        away = tested - training.centre
        for name in subsets:
            subset = self.subsets[name]
            rows = [blank_row(direction, layer, name) for direction in axes]
            scores = self._scores(name, away, np.stack(list(axes.values())))
            found = dict(zip(axes, subset.add(scores, rows, self.settings.confidence), strict=True))
            for row in rows if name in REFITTED else []:
                if (direction := row["direction"]) in permuted:
                    refitted = auroc(self._scores(name, away, permuted[direction]), subset.labels)
                    reached = int((refitted >= found[direction]).sum())
                    row["p_refit"] = (1 + reached) / (1 + len(refitted))

    def _scores(self, name: str, away: Array, axes: Array) -> Array:
        """Return the scores ``[n, k]`` of a subset along ``axes [k, d]``.

        For `surprisal-out`, surprisal is regressed out of the scores over the tested statements themselves. A
        regression fitted on the training statements would add surprisal, and so truth, to states that contain neither.
        """
        subset = self.subsets[name]
        scores: Array = away[subset.places] @ axes.T
        return without(subset.excess, scores) if name == CONTROLLED else scores

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the evidence of each subset, layer and direction, with `auroc` as its value."""
        yield from self.notes
        for subset in (*self.controls, *self.subsets.values()):
            yield from tested_rows(subset.family, subset.rows, self.settings.level)


def tested_rows(family: Family, rows: list[dict[str, Any]], level: float) -> Iterator[dict[str, Any]]:
    """Yield `rows` with their p-values; a row passes if it is above .5 and significant after the correction."""
    for row, p, corrected in zip(rows, *family.p_values(), strict=True):
        yield {**row, "p": float(p), "p_corrected": float(corrected), "passes_null": bool(corrected <= level)}


def blank_row(direction: str | None, layer: int | None, subset: str, unit: str = "statement") -> dict[str, Any]:
    """Return the columns of a row without its measurements."""
    return {"direction": direction, "layer": layer, "unit": unit, "subset": subset, "p_refit": None, "note": None}


def note_row(direction: str | None, subset: str, text: str, unit: str = "statement") -> dict[str, Any]:
    """Return a row without values and with a note on why there are none."""
    missing = dict.fromkeys(("n", "auroc", "ci_low", "ci_high", "p", "p_corrected", "passes_null"))
    return {**blank_row(direction, None, subset, unit), **missing, "note": text}
