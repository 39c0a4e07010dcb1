"""Pairs are found by subject and predicate, whatever the order and number of rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statement_data import PREDICATES, statement, world

from thoughtscope.probes.pairing import common_prefix, excess, predicate_pairs, subject_pairs, undecided


def frame(rows: list[dict], shuffled: bool = False) -> pd.DataFrame:
    table = pd.DataFrame([row for row in rows if row["label"] is not None])
    return table.sample(frac=1, random_state=3, ignore_index=True) if shuffled else table


@pytest.mark.parametrize("shuffled", [False, True])
def test_the_two_of_a_subject_are_paired_in_any_order_of_rows(shuffled):
    rows = frame(world(negated=True), shuffled)
    pairs = subject_pairs(rows)
    assert len(pairs) == 51 + 50
    true, false = (rows.iloc[pairs[:, side]].reset_index() for side in (0, 1))
    for column in ("subject", "attribute", "negated"):
        assert (true[column] == false[column]).all()
    assert (true["label"] == 1).all()
    assert (false["label"] == 0).all()


@pytest.mark.parametrize("shuffled", [False, True])
def test_predicates_are_paired_across_subjects(shuffled):
    rows = frame(world(), shuffled)
    for i, j in predicate_pairs(rows):
        one, other = rows.iloc[i], rows.iloc[j]
        assert (one["label"], other["label"]) == (1, 0)
        assert one["subject"] != other["subject"]
        assert one["response"].removeprefix(one["subject"]) == other["response"].removeprefix(other["subject"])


def test_unequal_classes_pair_as_many_as_there_are_of_both():
    """47 true and 58 false answers about ten questions, as files of right and wrong answers have them."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([1, 0], [47, 58]))
    rows = frame([statement(f"r{i:03d}", "train", f"q{i % 10}", f"x{i}", int(label)) for i, label in enumerate(labels)])
    pairs = subject_pairs(rows)
    both = rows.groupby("subject")["label"].agg(lambda found: min(found.sum(), len(found) - found.sum()))
    assert len(pairs) == both.sum()
    assert len(set(pairs.ravel())) == 2 * len(pairs)
    assert (rows["subject"].to_numpy()[pairs[:, 0]] == rows["subject"].to_numpy()[pairs[:, 1]]).all()


def test_rows_without_a_common_subject_have_no_pairs():
    rows = frame([statement(f"r{i}", "train", f"s{i}", f"x{i}", i % 2) for i in range(10)])
    assert subject_pairs(rows).shape == (0, 2)
    assert predicate_pairs(rows).shape == (0, 2)


def test_what_is_read_before_the_two_responses_differ_is_undecided():
    rows = frame([statement("a", "test", "s", "a great x y", 1), statement("b", "test", "s", "a great z", 0)])
    rows = pd.concat([rows, frame([statement("c", "test", "t", "a great x y", 0)])], ignore_index=True)
    texts = [response.split(" ") for response in rows["response"]]
    assert undecided(texts, rows).tolist() == [4, 4, 0]
    assert common_prefix("abc", "abd") == 2
    assert common_prefix("ab", "abc") == 2


def test_excess_is_free_of_subject_and_predicate():
    rows = frame(world(train=30, test=0))[:60]
    rng = np.random.default_rng(0)
    subject = rows["subject"].map({name: rng.normal() for name in rows["subject"].unique()}).to_numpy()
    said = [row["response"].removeprefix(f"{row['subject']} is ") for _, row in rows.iterrows()]
    predicate = np.array([PREDICATES.index(one) for one in said], dtype=float)
    values = np.column_stack([subject + predicate, subject + predicate - 2.0 * rows["label"]])
    found = excess(rows, values)
    assert np.abs(found[:, 0]).max() < 1e-9
    assert np.corrcoef(found[:, 1], rows["label"])[0, 1] < -0.99


def test_excess_of_rows_that_nothing_matches_is_what_is_above_the_mean():
    rows = frame([statement(f"r{i}", "train", f"s{i}", f"x{i}", i % 2) for i in range(10)])
    values = np.arange(20.0).reshape(10, 2)
    np.testing.assert_allclose(excess(rows, values), values - values.mean(axis=0), atol=1e-9)
