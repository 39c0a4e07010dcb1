"""Token directions: a cell is coloured where held-out statements tell truth there, and nowhere else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statement_data import WIDTH, fitted, nothing, statement, store, truth, world

from thoughtscope.probes.activity import slopes
from thoughtscope.probes.settings import TruthSettings
from thoughtscope.probes.tokens import predicate_tokens

FAST = TruthSettings(permutations=199, bootstrap=50)


def cells(
    found: dict[str, pd.DataFrame], fitted_on: str = "tokens", direction: str = "whitened-difference"
) -> pd.DataFrame:
    """Return the cells of one direction."""
    frame = found["activity"]
    return frame[(frame["fitted_on"] == fitted_on) & (frame["direction"] == direction)]


def test_cells_with_planted_truth_have_evidence_and_the_right_sign(tmp_path):
    found = fitted(store(tmp_path, world(), {0: nothing, 1: truth()}), FAST)
    frame = cells(found)
    said = frame[(frame["layer"] == 1) & (frame["distance"] < 4)]
    assert set(said["evidence"]) == {"yes"}
    assert (said["auroc"] > 0.9).all()
    assert (said["accuracy"] > 0.85).all()
    assert (np.sign(said["score"]) == 2 * said["label"] - 1).mean() > 0.8
    assert set(frame.loc[(frame["layer"] == 0) & (frame["distance"] < 4), "evidence"]) == {"no"}
    assert (said["p_corrected"] >= said["p"]).all()


def test_what_both_responses_share_is_no_evidence_in_either(tmp_path):
    frame = cells(fitted(store(tmp_path, world(), {0: truth()}), FAST))
    assert set(frame.loc[frame["position"] < 2, "evidence"]) == {"shared"}
    by_token = frame[frame["position"] < 2].pivot(index="position", columns="label", values="evidence")
    assert (by_token == "shared").all(axis=None)


def test_without_truth_no_cell_has_evidence(tmp_path):
    seed = 7
    print(f"seed {seed}")
    layers = dict.fromkeys(range(6), nothing)
    frame = fitted(store(tmp_path, world(), layers, seed=seed), FAST)["activity"]
    assert "yes" not in set(frame["evidence"])
    assert (frame["p"] < 0.1).any(), f"seed {seed}: of so many cells some look like evidence by themselves"


def test_the_identity_of_tokens_cancels(tmp_path):
    """Each token has a state of its own, far larger than truth and partly in the same entry."""
    rng = np.random.default_rng(0)
    own: dict[str, np.ndarray] = {}

    def shift(row, position, distance):
        word = row["response"].split(" ")[position]
        states = own.setdefault(word, 20 * rng.standard_normal(WIDTH) * (np.arange(WIDTH) > 5))
        leaked = states[6] * (np.arange(WIDTH) == 3)
        return states + leaked + truth(size=4.0)(row, position, distance)

    found = fitted(store(tmp_path, world(60, 40), {0: shift}), FAST)
    frame = found["evidence"]
    token = frame[(frame["unit"] == "token") & (frame["layer"] == 0)].set_index("direction")
    assert token.loc["whitened-difference", "value"] > 0.9
    assert token.loc["difference-of-means", "value"] < 0.7
    assert set(cells(found).loc[lambda rows: rows["distance"] < 4, "evidence"]) == {"yes"}


def test_truth_at_the_last_token_colours_the_last_token_only(tmp_path):
    found = fitted(store(tmp_path, world(), {0: truth(last_only=True, size=6.0)}), FAST)
    for fitted_on, elsewhere in (("tokens", "no"), ("last", "untested")):
        frame = cells(found, fitted_on)
        assert set(frame.loc[frame["distance"] == 0, "evidence"]) == {"yes"}
        assert set(frame.loc[frame["distance"].between(1, 3), "evidence"]) == {elsewhere}


def test_an_offset_of_a_layer_or_a_place_is_no_score(tmp_path):
    """What every token of a layer, or every token at a place, has in common is taken off."""

    def shift(row, position, distance):
        return truth()(row, position, distance) + 20.0 + 5.0 * distance

    frame = cells(fitted(store(tmp_path, world(), {0: shift}), FAST))
    said = frame[frame["distance"] < 4]
    assert np.abs(said.groupby("distance")["score"].mean()).max() < np.abs(said["score"]).mean()
    assert (np.sign(said["score"]) == 2 * said["label"] - 1).mean() > 0.8


def test_tokens_of_a_pair_are_the_same_ones_in_any_order_of_rows(tmp_path):
    found = store(tmp_path, world(), {0: nothing})
    sample = predicate_tokens(found, found.where("test"))
    texts = found.index.texts[sample.tokens]
    for true, false in np.arange(len(sample.rows)).reshape(-1, 2):
        assert (sample.labels[true], sample.labels[false]) == (1, 0)
        assert texts[sample.units == true].tolist() == texts[sample.units == false].tolist()
    assert len(sample.tokens) == 4 * len(sample.rows)


def test_statements_without_matched_predicates_are_tested_with_a_note(tmp_path):
    """As TruthfulQA has them: every answer is a text of its own, and a question has two right and three wrong ones."""
    rows = [statement(f"{split}{q}-{a}", split, f"{split}{q}", f"answer {q} {a} ends", int(a < 2))
            for split in ("train", "test") for q in range(12) for a in range(5)]  # fmt: skip
    found = fitted(store(tmp_path, rows + world()[-7:], {0: truth(size=8.0)}), FAST)
    frame = found["evidence"]
    notes = frame.loc[(frame["unit"] == "token") & frame["note"].notna(), "note"]
    assert "identity of tokens does not cancel" in notes.item()
    assert frame[(frame["unit"] == "token") & (frame["layer"] == 0)]["passes_null"].all()


def test_token_rows_have_their_surprisal_beside_them(tmp_path):
    def surprisal(row):
        return {0: 3.0, 1: 1.0}.get(row["label"], 2.0)

    frame = fitted(store(tmp_path, world(), {0: truth()}, surprisal), FAST)["evidence"]
    alone = frame[(frame["unit"] == "token") & (frame["direction"] == "surprisal-only")]
    assert (alone["value"].item(), alone["p"].item()) == (1.0, 1 / 200)
    tokens = frame[(frame["unit"] == "token") & frame["layer"].notna()]
    assert ((tokens["ci_low"] < tokens["value"]) & (tokens["value"] <= tokens["ci_high"])).all()


def test_few_statements_leave_a_cell_untested(tmp_path):
    found = fitted(store(tmp_path, world(30, 4), {0: truth(size=9.0)}), FAST)
    assert set(cells(found)["evidence"]) <= {"untested", "shared"}


def test_trends_are_those_of_test_statements_over_cells_with_evidence(tmp_path):
    layers = {layer: truth(size=4.0 * (layer + 1)) for layer in range(4)}
    found = fitted(store(tmp_path, world(), layers), FAST)
    trends = found["trends"]
    over_layers = trends[(trends["over"] == "layers") & (trends["fitted_on"] == "tokens")]
    assert set(over_layers["example_id"].str[:4]) == {"test"}
    means = over_layers.groupby("label")["slope"].mean()
    assert means[1] > 0 > means[0]
    assert set(trends.loc[trends["fitted_on"] == "last", "over"]) == {"layers"}


def test_a_slope_is_that_of_means_and_needs_two_values():
    frame = pd.DataFrame({"unit": [0, 0, 0, 1], "layer": [1, 2, 2, 1], "score": [1.0, 2.0, 4.0, 9.0]})
    assert slopes(frame, "layer") == {0: pytest.approx(2.0)}
