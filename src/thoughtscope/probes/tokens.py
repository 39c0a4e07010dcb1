"""Truth directions fitted on tokens, and the evidence for each cell (layer, distance from the end of the response).

Every predicate occurs with its own subject and with another one, and directions are fitted on all its tokens, so that
the identity of a token cancels in the difference of class means. The evidence for a cell is the AUROC of the tokens at
that layer and distance, in statements about other subjects. It is tested against truth values permuted within pairs of
one predicate, corrected by the maximum over all cells and directions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thoughtscope.probes.directions import LINEAR, Training
from thoughtscope.probes.pairing import codes, common_prefix, exchangeable, predicate_pairs, undecided
from thoughtscope.probes.permutation import Family, Resampling, permuted_labels
from thoughtscope.probes.settings import TruthSettings
from thoughtscope.probes.statements import Array, Rows, Statements, Vectors
from thoughtscope.probes.truth import OWN, SURPRISAL, blank_row, note_row, tested_rows

Fitted = Literal["tokens", "last"]
FEWEST = 5  # a cell with fewer true or fewer false tokens is not tested
BLOCK = 4096  # tokens that are projected at once, to limit memory
UNMATCHED = "predicates do not occur with both truths in train and test: the identity of tokens does not cancel"


@dataclass(frozen=True)
class Sample:
    """Tokens of statements that are true or false.

    Attributes:
        rows: ``[s]``, the indices of the statements.
        labels: ``[s]``, 1 if the statement is true.
        tokens: ``[m]``, indices of the stored tokens.
        units: ``[m]``, the index into `rows` of the statement of each token.
        distances: ``[m]``, the position of each token from the end of the response.
        keys: groupings of `rows` within which truth values may be permuted; see `permutation.permuted_labels`.
    """

    rows: Rows
    labels: NDArray[np.int64]
    tokens: Rows
    units: NDArray[np.int64]
    distances: NDArray[np.int64]
    keys: Sequence[NDArray[np.int64]]

    @classmethod
    def of(
        cls, statements: Statements, rows: Rows, usable: NDArray[np.int64], keys: Sequence[NDArray[np.int64]]
    ) -> Sample:
        """Return the last ``usable [s]`` tokens of each statement in ``rows [s]``."""
        ends = statements.index.last[rows] + 1
        tokens = np.concatenate([np.arange(end - count, end) for end, count in zip(ends, usable, strict=True)])
        units = np.repeat(np.arange(len(rows)), usable)
        return cls(rows, statements.labels(rows), tokens, units, statements.index.distances[tokens], keys)


def last_tokens(statements: Statements, rows: Rows) -> Sample:
    """Return the last token of each statement."""
    return Sample.of(statements, rows, np.ones(len(rows), dtype=np.int64), exchangeable(statements.rows.iloc[rows]))


def decided_tokens(statements: Statements, rows: Rows) -> Sample:
    """Return the tokens of each statement after the prefix that it shares with one of the other truth value."""
    usable = statements.index.counts[rows] - _undecided(statements, rows)
    return Sample.of(statements, rows, usable, exchangeable(statements.rows.iloc[rows]))


def predicate_tokens(statements: Statements, rows: Rows) -> Sample:
    """Return the decided tokens, counted from the end, that both statements of each pair with one predicate have."""
    pairs = predicate_pairs(statements.rows.iloc[rows])
    texts = [statements.index.texts_of(row)[::-1] for row in rows]
    decided = statements.index.counts[rows] - _undecided(statements, rows)
    shared = [min(common_prefix(texts[i], texts[j]), decided[i], decided[j]) for i, j in pairs]
    number = np.repeat(np.arange(len(pairs)), 2)
    return Sample.of(statements, rows[pairs.ravel()], np.repeat(np.array(shared, dtype=np.int64), 2), [number])


def _undecided(statements: Statements, rows: Rows) -> NDArray[np.int64]:
    return undecided([statements.index.texts_of(row) for row in rows], statements.rows.iloc[rows])


@dataclass(frozen=True)
class Evidence:
    """The evidence of held-out tokens for one cell and one direction.

    Attributes:
        n: number of statements.
        auroc: of the scores of their tokens in this cell.
        accuracy: share of scores with the right sign, averaged over true and false statements.
        p, p_corrected: p-value of the AUROC, and the same corrected for the choice among all cells and directions.
        passes: whether the scores of the cell tell true from false.
    """

    n: int
    auroc: float
    accuracy: float
    p: float
    p_corrected: float
    passes: bool


@dataclass
class Whole:
    """The separation of all tokens of a sample together, at any distance.

    Attributes:
        subset: the name of the subset, as in `truth`.
        rows: the columns of each AUROC, in the order of the family.
    """

    subset: str
    sample: Sample
    permuted: Array
    resampling: Resampling
    family: Family
    rows: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, subset: str, sample: Sample, subjects: NDArray[np.int64], settings: TruthSettings) -> Whole:
        """Prepare the tests of a sample; ``subjects [s]`` are the subjects of its statements."""
        permuted = permuted_labels(sample.labels, sample.keys, settings.permutations, seed=2)
        units = sample.units
        resampling = Resampling(subjects[units], sample.labels[units], settings.bootstrap)
        return cls(subset, sample, permuted, resampling, Family(sample.labels, permuted))

    def add(self, scores: Array, names: Iterable[str], layer: int | None, confidence: float) -> None:
        """Add the AUROCs of scores ``[m, directions]`` of the tokens."""
        for area, column, name in zip(self.family.add(scores, self.sample.units), scores.T, names, strict=True):
            low, high = self.resampling.interval(column, confidence)
            measured = {"n": len(self.sample.rows), "auroc": float(area), "ci_low": low, "ci_high": high}
            self.rows.append({**blank_row(name, layer, self.subset, "token"), **measured})

    def tested(self, level: float) -> Iterator[dict[str, Any]]:
        """Yield the rows with their p-values."""
        yield from tested_rows(self.family, self.rows, level)


class TokenProbe:
    """Fits and tests token directions: call `add` with each layer, then read `evidence` and `rows`.

    Attributes:
        matched: whether predicates occur with both truth values, so that the identity of tokens cancels.
        train, test: the tokens that directions are fitted and tested on.
        scored: ``[t]``, the indices of the displayed tokens.
        displayed: for each layer, the scores ``[t, directions]`` of `scored`.
        tested: for each layer, the scores ``[m, directions]`` of `test`.
    """

    def __init__(self, statements: Statements, settings: TruthSettings, fitted_on: Fitted) -> None:
        """Choose the tokens that directions are fitted and tested on."""
        self.statements, self.settings, self.fitted_on = statements, settings, fitted_on
        train, test = (statements.where(split, negated=False) for split in ("train", "test"))
        self.matched = fitted_on == "tokens" and all(_matched(statements, rows) for rows in (train, test))
        choose = last_tokens if fitted_on == "last" else predicate_tokens if self.matched else decided_tokens
        self.train, self.test = choose(statements, train), choose(statements, test)
        subjects = codes(statements.rows, ["subject"])
        samples = {"all": self.test}
        for split in sorted(set(statements.rows["split"]) - OWN):
            rows = statements.where(split, negated=False)
            if len(set(statements.labels(rows))) == 2 and not (self.matched and not _matched(statements, rows)):
                samples[split] = choose(statements, rows)
        self.wholes = [Whole.of(name, one, subjects[one.rows], settings) for name, one in samples.items()]
        self.cells = Family(self.test.labels, self.wholes[0].permuted)
        index = statements.index
        self.scored = np.flatnonzero(np.isin(index.statements, statements.where("display")))
        self.calibration = np.flatnonzero(np.isin(index.statements, statements.where("calibration")))
        self.cell_rows: list[tuple[int, int, str, int, float]] = []
        self.displayed: dict[int, Array] = {}
        self.tested: dict[int, Array] = {}

    def add(self, layer: int, vectors: Vectors) -> None:
        """Fit and test one layer's directions on its states ``[tokens, d]``."""
        training = Training.of(vectors[self.train.tokens])
        labels = self.train.labels[self.train.units]
        axes = np.concatenate([make(training, labels[None].astype(np.float64)) for make in LINEAR.values()])
        spread = _project(vectors[self.calibration], training.centre, axes).std(axis=0)
        axes /= np.where(spread > 0, spread, np.inf)[:, None]
        along = training.vectors @ axes.T
        centres = _centres(along, labels, self.train.distances, int(self.statements.index.distances.max()) + 1)
        self.displayed[layer], *tested = (
            _project(vectors[tokens], training.centre, axes) - centres[self.statements.index.distances[tokens]]
            for tokens in (self.scored, *(whole.sample.tokens for whole in self.wholes))
        )
        self.tested[layer] = tested[0]
        for whole, scores in zip(self.wholes, tested, strict=True):
            whole.add(scores, LINEAR, layer, self.settings.confidence)
        self._test(layer, self.tested[layer])

    def _test(self, layer: int, scores: Array) -> None:
        """Test the scores ``[m, directions]`` of the test tokens at each distance."""
        truth = self.test.labels[self.test.units] == 1
        for distance in np.unique(self.test.distances):
            here = self.test.distances == distance
            if min((here & truth).sum(), (here & ~truth).sum()) < FEWEST:
                continue
            self.cells.add(scores[here], self.test.units[here])
            right = (np.sign(scores[here & truth]).mean(axis=0) - np.sign(scores[here & ~truth]).mean(axis=0)) / 4 + 0.5
            for name, accuracy in zip(LINEAR, right, strict=True):
                self.cell_rows.append((layer, int(distance), name, int(here.sum()), float(accuracy)))

    @cached_property
    def evidence(self) -> dict[tuple[int, int, str], Evidence]:
        """The evidence of each tested cell by (layer, distance, direction); complete after the last `add`."""
        areas = np.concatenate([found[0] for found in self.cells.areas]) if self.cells.areas else np.zeros(0)
        found = {}
        for row, area, p, corrected in zip(self.cell_rows, areas, *self.cells.p_values(), strict=True):
            layer, distance, name, n, accuracy = row
            passes = bool(corrected <= self.settings.level and accuracy > 0.5)
            found[layer, distance, name] = Evidence(n, float(area), accuracy, float(p), float(corrected), passes)
        return found

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the evidence of all test tokens of each subset together, with `auroc` as its value."""
        if not self.matched:
            yield note_row(None, "all", UNMATCHED, "token")
        for whole in self.wholes:
            surprisals = -self.statements.token_surprisals[whole.sample.tokens]
            if not np.isnan(surprisals).any():
                alone = replace(whole, family=Family(whole.sample.labels, whole.permuted), rows=[])
                alone.add(surprisals[:, None], [SURPRISAL], None, self.settings.confidence)
                yield from alone.tested(self.settings.level)
            yield from whole.tested(self.settings.level)


def _matched(statements: Statements, rows: Rows) -> bool:
    """Return whether at least half of the statements share their predicate with one of the other truth value."""
    return 4 * len(predicate_pairs(statements.rows.iloc[rows])) >= len(rows)


def _project(vectors: Vectors, centre: Array, axes: Array) -> Array:
    """Return the projections ``[tokens, k]`` of ``vectors [tokens, d]`` minus ``centre [d]`` on ``axes [k, d]``."""
    blocks = (vectors[start : start + BLOCK] for start in range(0, len(vectors), BLOCK))
    return np.concatenate([np.zeros((0, len(axes))), *((block - centre) @ axes.T for block in blocks)])


def _centres(along: Array, labels: NDArray[np.int64], distances: NDArray[np.int64], count: int) -> Array:
    """Return the points ``[count, k]`` midway between the class means of training tokens, by distance from the end.

    At distances with fewer than `FEWEST` tokens of a class, it is midway between the class means of all tokens.
    """
    middle: Array = (along[labels == 1].mean(axis=0) + along[labels == 0].mean(axis=0)) / 2
    centres = np.tile(middle, (count, 1))
    for distance in np.unique(distances):
        classes = [along[(distances == distance) & (labels == label)] for label in (0, 1)]
        if min(map(len, classes)) >= FEWEST:
            centres[distance] = (classes[0].mean(axis=0) + classes[1].mean(axis=0)) / 2
    return centres
