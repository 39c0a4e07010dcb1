"""Truth probes find what was planted, and claim nothing where nothing is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statement_data import PREDICATES, WIDTH, nothing, statement, store, truth, world

from thoughtscope.errors import UserError
from thoughtscope.probes.directions import DIRECTIONS
from thoughtscope.probes.settings import TruthSettings
from thoughtscope.probes.statements import length_matched
from thoughtscope.probes.truth import TruthProbe

FAST = TruthSettings(permutations=199, bootstrap=50)


def rows_of(found, layers=(0, 1), settings=FAST) -> pd.DataFrame:
    """Return the rows of the truth probe over these layers."""
    probe = TruthProbe(found, settings)
    for layer in layers:
        probe.add(layer, found.vectors(layer))
    return pd.DataFrame(probe.rows())


def surprising(row) -> float:
    """Return the surprisal of a false statement, of a true one, and of one without a truth."""
    return {0: 3.0, 1: 1.0}.get(row["label"], 2.0)


def test_planted_truth_passes_and_noise_does_not(tmp_path):
    frame = rows_of(store(tmp_path, world(), {0: nothing, 1: truth()}))
    plain = frame[frame["subset"] == "all"].set_index(["layer", "direction"])
    assert set(plain.loc[1].index) == set(DIRECTIONS)
    assert (plain.loc[1, "auroc"] > 0.9).all()
    assert plain.loc[1, "passes_null"].all()
    assert (plain.loc[1, "p"] == 1 / 200).all()
    assert not plain.loc[0, "passes_null"].any()
    both = plain.loc[[0, 1]]
    assert ((both["ci_low"] <= both["auroc"]) & (both["auroc"] <= both["ci_high"])).all()
    assert (both["p_corrected"] >= both["p"]).all()
    assert both["p_refit"].notna().groupby(level="direction").all().to_dict() == {
        name: name in ("difference-of-means", "whitened-difference") for name in DIRECTIONS
    }


def test_every_subset_has_its_surprisal_and_its_text_beside_it(tmp_path):
    rows = world(negated=True)
    for split in ("unseen", "guessed"):
        rows += [statement(f"{split}{k}{label}", split, f"{split}{k}", PREDICATES[(k + 1 - label) % 5], label)
                 for k in range(10) for label in (1, 0)]  # fmt: skip
    frame = rows_of(store(tmp_path, rows, {0: truth()}, surprising), layers=[0])
    subsets = {"all", "negated", "length-matched", "surprisal-out", "unseen", "guessed"}
    for direction in (*DIRECTIONS, "surprisal-only", "text-only"):
        assert set(frame.loc[frame["direction"] == direction, "subset"]) == subsets
    alone = frame[frame["direction"] == "surprisal-only"]
    assert (alone["auroc"] == 1).all()
    assert alone[["ci_low", "ci_high", "p"]].notna().all(axis=None)
    assert alone["layer"].isna().all()
    text = frame[(frame["direction"] == "text-only") & (frame["subset"] == "all")].iloc[0]
    assert (text["auroc"], text["passes_null"]) == (0.5, False)
    assert set(frame.loc[frame["subset"] == "all", "n"]) == {40}
    assert set(frame.loc[frame["subset"] == "unseen", "n"]) == {20}


def test_without_negated_statements_a_note_says_so(tmp_path):
    frame = rows_of(store(tmp_path, world(), {0: truth()}), layers=[0])
    negated = frame[frame["subset"] == "negated"]
    assert len(negated) == 1
    assert "no negated statements" in negated["note"].item()
    assert np.isnan(negated["auroc"].item())


def test_a_direction_that_inverts_on_negated_statements_does_not_pass_there(tmp_path):
    def fit(row, position, distance):
        shift = np.zeros(WIDTH)
        shift[3] = 0.0 if row["label"] is None else 6.0 * (row["label"] ^ row["negated"])
        return shift

    frame = rows_of(store(tmp_path, world(negated=True), {0: fit}), layers=[0])
    negated = frame[(frame["subset"] == "negated") & frame["layer"].notna()]
    assert (negated["auroc"] < 0.1).all()
    assert not negated["passes_null"].any()


def test_rows_in_another_order_give_the_same_numbers(tmp_path):
    rows = world()
    found = store(tmp_path, rows, {0: truth(size=1.0)})
    order = np.random.default_rng(0).permutation(len(rows))
    shuffled = type(found).of([rows[i] for i in order], tmp_path)
    pd.testing.assert_frame_equal(rows_of(found, [0]), rows_of(shuffled, [0]))


def _unequal(true: int, false: int) -> list[dict]:
    """Return so many right and wrong answers to a tenth as many questions, in train and test each."""
    rows = []
    for split in ("train", "test"):
        for label, count in ((1, true), (0, false)):
            rows += [statement(f"{split}{label}{i:03d}", split, f"{split}q{i % 10}", f"answer {label} {i}", label)
                     for i in range(count)]  # fmt: skip
    return [*rows, *world()[-7:]]


@pytest.mark.parametrize(("true", "false"), [(47, 58), (1, 9), (9, 1), (30, 45)])
def test_unequal_classes_are_probed(tmp_path, true, false):
    frame = rows_of(store(tmp_path, _unequal(true, false), {0: truth(size=8)}), layers=[0])
    plain = frame[(frame["subset"] == "all") & (frame["layer"] == 0)]
    assert set(plain["direction"]) == set(DIRECTIONS)
    assert set(plain["n"]) == {true + false}
    assert plain["auroc"].between(0, 1).all()


def test_statements_that_share_no_subject_have_no_direction_of_pairs_and_a_note(tmp_path):
    """As most files of The Geometry of Truth: a statement, a label, and nothing that it is about."""
    labels = np.random.default_rng(0).permutation(np.repeat([1, 0], [40, 50]))
    rows = [statement(f"r{i:03d}", "train" if i < 55 else "test", f"r{i:03d}", f"x{i}", int(label))
            for i, label in enumerate(labels)]  # fmt: skip
    frame = rows_of(store(tmp_path, rows + world()[-7:], {0: truth(size=8)}), layers=[0])
    notes = frame[frame["direction"] == "pca-of-pairs"]
    assert len(notes) == 1
    assert "no training subject" in notes["note"].item()
    others = frame[(frame["layer"] == 0) & (frame["subset"] == "all")]
    assert len(others) == len(DIRECTIONS) - 1
    assert others["passes_null"].all()


@pytest.mark.parametrize("split", ["train", "test"])
def test_one_truth_alone_is_an_error_before_any_layer_is_fitted(tmp_path, split):
    rows = [row for row in world() if row["split"] != split or row["label"] == 1]
    with pytest.raises(UserError, match=f"of split {split} are not both true and false; give more statements"):
        TruthProbe(store(tmp_path, rows, {0: nothing}), FAST)


def test_one_statement_of_each_truth_is_probed(tmp_path):
    rows = [row for row in world() if row["split"] == "train" or row["subject"] in ("test00", "shown", "c0")]
    frame = rows_of(store(tmp_path, rows, {0: truth()}), layers=[0])
    plain = frame[(frame["subset"] == "all") & (frame["layer"] == 0)]
    assert set(plain["n"]) == {2}
    assert (plain["p"] >= 0.3).all(), "one pair can be exchanged one way"


def test_states_that_never_vary_are_no_evidence(tmp_path):
    rows = world()
    found = store(tmp_path, rows, {0: lambda *_: np.full(WIDTH, 1e9)})  # noise of 1 is rounding beside it
    plain = rows_of(found, [0])
    plain = plain[(plain["layer"] == 0) & (plain["subset"] == "all")]
    assert (plain["auroc"] == 0.5).all()
    assert not plain["passes_null"].any()


def test_what_is_known_of_the_predicate_alone_does_not_pass_once_surprisal_is_out(tmp_path):
    """Without regard to predicates it would: a state that tells how surprising the predicate is of anybody.

    Given the surprisal it then tells truth, though truth cannot be read from it.
    """
    weight = {said: place for place, said in enumerate(PREDICATES)}

    def said(row):
        return row["response"].removeprefix(f"{row['subject']} is ")

    def surprisal(row):
        return 2.0 * weight[said(row)] + surprising(row)

    def predicate(row, position, distance):
        shift = np.zeros(WIDTH)
        shift[3] = 5.0 * weight[said(row)]
        return shift

    frame = rows_of(store(tmp_path, world(60, 40), {0: predicate}, surprisal), layers=[0])
    measured = frame[frame["layer"] == 0].set_index(["subset", "direction"])
    for subset in ("all", "surprisal-out"):
        assert not measured.loc[subset, "passes_null"].any(), measured.loc[subset, ["auroc", "p"]]


def test_truth_beside_surprisal_stays_when_surprisal_is_taken_out(tmp_path):
    found = store(tmp_path, world(60, 40), {0: truth()}, lambda row: float(len(row["example_id"])))
    frame = rows_of(found, layers=[0])
    left = frame[(frame["layer"] == 0) & (frame["subset"] == "surprisal-out")]
    assert left["passes_null"].all()
    same = store(tmp_path / "same", world(60, 40), {0: truth(size=3)}, surprising)
    frame = rows_of(same, layers=[0])
    gone = frame[(frame["layer"] == 0) & (frame["subset"] == "surprisal-out")]
    assert not gone["passes_null"].any(), "surprisal tells exactly the same, so nothing is left"


def test_a_missing_statement_is_named(tmp_path):
    found = store(tmp_path, world(), {0: nothing})
    more = [*world(), statement("zz", "test", "zz", "x", 1)]
    with pytest.raises(UserError, match="no states of statement zz"):
        TruthProbe(type(found).of(more, tmp_path), FAST)
    with pytest.raises(UserError, match="is not in the task"):
        TruthProbe(type(found).of(world()[1:], tmp_path), FAST)


def test_length_matching_leaves_equal_numbers_of_every_length():
    lengths, labels = np.array([5, 5, 5, 6, 7, 7]), np.array([1, 0, 0, 1, 1, 0])
    kept = length_matched(lengths, labels)
    assert kept.tolist() == [0, 1, 4, 5]
