"""Truth probes: for each layer and direction, how well truth of unseen subjects' statements can be read.

Directions are fitted on plain (not negated) statements of the training people. Rows by `subset`:

    all             plain statements of the test people
    negated         their negated statements, same direction: does it follow truth, or the description's fit?
    length-matched  of `all`, as many true as false of every length
    surprisal-out   direction and test without what the statement's surprisal explains linearly
    text-only       words and pairs of words alone, no layer

Both nulls (random directions; refits on shuffled training labels, or for PCA, whose axis no label made, shuffled
test labels) are 99th percentiles of |AUROC - .5|; a layer passes where it exceeds both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from thoughtscope.probes.directions import (
    DIRECTIONS,
    FOUND_WITHOUT_LABELS,
    Array,
    auroc,
    auroc_interval,
    label_null,
    null,
    random_axes,
    shuffled_axes,
)
from thoughtscope.probes.statements import Layer, Statements, Tokens, length_matched, without
from thoughtscope.settings import Positive, Probability, Strict

Rows = NDArray[np.int64]


class TruthSettings(Strict):
    """How directions are fitted and tested."""

    random_directions: Positive = 200
    permutations: Positive = 50
    bootstrap: Positive = 500
    confidence: Probability = 0.95
    tokens: Tokens = Field("last", description="what stands for a statement: its last token, or the mean of all")


def truth_rows(statements: Statements, layers: list[int], settings: TruthSettings) -> Iterator[dict[str, Any]]:
    """Yield the rows of `tables.TRUTH_PROBES`, without the run's columns."""
    train, test = statements.where("train", negated=False), statements.where("test")
    yield _text_only(statements, train, test, settings)
    for layer in layers:
        yield from _layer_rows(statements, statements.layer(layer), layer, train, test, settings)


def _layer_rows(
    statements: Statements, stored: Layer, layer: int, train: Rows, test: Rows, settings: TruthSettings
) -> Iterator[dict[str, Any]]:
    both = np.concatenate([train, test])
    vectors, labels = stored.of(both, settings.tokens), statements.labels(both)
    n = len(train)
    plain = (vectors[:n], labels[:n]), (vectors[n:], labels[n:])
    rest = without(statements.surprisal[both], vectors, np.arange(n))
    controlled = (rest[:n], labels[:n]), (rest[n:], labels[n:])
    turned = np.isin(test, statements.where("test", negated=True))
    affirmed = np.flatnonzero(~turned)
    subsets = {
        "all": (plain, affirmed),
        "negated": (plain, np.flatnonzero(turned)),
        "length-matched": (plain, affirmed[length_matched(statements.lengths[test][affirmed], labels[n:][affirmed])]),
        "surprisal-out": (controlled, affirmed),
    }
    anywhere = random_axes(vectors.shape[1], settings.random_directions)
    for name, fit in DIRECTIONS.items():
        axes = {
            id(seen): (fit(*seen), shuffled_axes(fit, *seen, settings.permutations))
            for seen in (plain[0], controlled[0])
        }
        for subset, ((seen, unseen), chosen) in subsets.items():
            if not len(chosen):
                continue
            axis, shuffled = axes[id(seen)]
            part = unseen[0][chosen], unseen[1][chosen]
            unlabelled = name in FOUND_WITHOUT_LABELS
            chance = label_null(part[0] @ axis, part[1], settings.permutations) if unlabelled else null(*part, shuffled)
            subjects = statements.subjects(test)[chosen]
            yield _row(
                name, layer, subset, part[0] @ axis, part[1], subjects, (null(*part, anywhere), chance), settings
            )


def _text_only(statements: Statements, train: Rows, test: Rows, settings: TruthSettings) -> dict[str, Any]:
    """Return what words and pairs of words tell, without any model."""
    texts = statements.rows["response"].to_numpy()
    counts = CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=r"[\w'-]+").fit(texts[train])
    labels, numbers = statements.labels(train), np.random.default_rng(0)
    seen, unseen = counts.transform(texts[train]), counts.transform(texts[test])

    def score(targets: NDArray[np.int64]) -> Array:
        fitted: Array = LogisticRegression(max_iter=1000).fit(seen, targets).decision_function(unseen)
        return fitted

    truth = statements.labels(test)
    shuffled = [auroc(score(numbers.permutation(labels))[:, None], truth)[0] for _ in range(settings.permutations)]
    chance = float(np.quantile(np.abs(np.array(shuffled) - 0.5), 0.99))
    subjects = statements.subjects(test)
    return _row("logistic", None, "text-only", score(labels), truth, subjects, (None, chance), settings)


def _row(
    direction: str,
    layer: int | None,
    subset: str,
    scores: Array,
    labels: NDArray[np.int64],
    subjects: NDArray[np.object_],
    nulls: tuple[float | None, float],
    settings: TruthSettings,
) -> dict[str, Any]:
    area = float(auroc(scores[:, None], labels)[0])
    low, high = auroc_interval(scores, labels, subjects, settings.bootstrap, settings.confidence)
    return {
        "direction": direction,
        "layer": layer,
        "subset": subset,
        "n": len(labels),
        "auroc": area,
        "ci_low": low,
        "ci_high": high,
        "null_random_p99": nulls[0],
        "null_permutation_p99": nulls[1],
        "passes_null": abs(area - 0.5) > max(one for one in nulls if one is not None),
    }
