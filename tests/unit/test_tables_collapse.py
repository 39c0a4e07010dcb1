"""The measures of collapse give what is known for point clouds whose shape is known."""

import numpy as np
import pandas as pd
import pytest
from synthetic import write_states

from thoughtscope.run_id import RunId
from thoughtscope.tables.cells import Sampling
from thoughtscope.tables.collapse import (
    Collapse,
    components_for,
    effective_rank,
    first_share,
    mean_pairwise_cosine,
    singular_values,
)
from thoughtscope.tables.identity import NAMES

RUN = RunId("chain", "qwen3", "lt-tuning", "full", 0)
MAKE = Collapse(Sampling(resamples=40), {"lt-tuning": "LT-Tuning"}).make
WIDTH = 16


def isotropic(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, WIDTH))


def on_a_line(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 1)) * np.eye(WIDTH)[:1]


def test_effective_rank_of_equal_singular_values_is_their_number():
    assert effective_rank(np.array([3.0, 3.0, 3.0, 3.0, 0.0])) == pytest.approx(4)


def test_effective_rank_of_known_singular_values():
    assert effective_rank(np.array([3.0, 1.0])) == pytest.approx(np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25)))


def test_an_isotropic_cloud_fills_all_dimensions():
    singular = singular_values(isotropic(20000))
    assert effective_rank(singular) == pytest.approx(WIDTH, rel=0.01)
    assert first_share(singular) == pytest.approx(1 / WIDTH, rel=0.1)
    assert components_for(singular, 0.95) == WIDTH


def test_a_line_has_one_dimension_wherever_it_lies():
    singular = singular_values(on_a_line(50) + 7.0)
    assert effective_rank(singular) == pytest.approx(1, abs=1e-6)
    assert first_share(singular) == pytest.approx(1)
    assert components_for(singular, 0.95) == 1


def test_a_point_has_one_dimension():
    singular = singular_values(np.ones((9, WIDTH)))
    assert (effective_rank(singular), first_share(singular), components_for(singular, 0.95)) == (1, 1, 1)


def test_components_are_counted_up_to_the_share_and_no_further():
    singular = np.sqrt(np.array([0.5, 0.45, 0.04, 0.01]))
    assert [components_for(singular, share) for share in (0.5, 0.51, 0.95, 0.96, 1.0)] == [1, 2, 2, 3, 4]


def test_mean_pairwise_cosine_is_the_mean_over_all_pairs():
    vectors = isotropic(12)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = [unit[i] @ unit[j] for i in range(12) for j in range(i)]
    assert mean_pairwise_cosine(vectors) == pytest.approx(np.mean(pairs))


def test_vectors_that_point_one_way_have_cosine_one():
    assert mean_pairwise_cosine(np.arange(1, 6)[:, None] * np.ones((1, WIDTH))) == pytest.approx(1)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    offset = 5 * np.eye(WIDTH)[0]
    first = isotropic(120) + offset
    latents = {1: first, 2: first[:90] * 3, 3: isotropic(80, seed=2) * 1e-3 + offset, 4: isotropic(20, seed=3)}
    rng = np.random.default_rng(1)
    text = {role: rng.normal(size=(120, n, WIDTH)) + offset for role, n in (("question", 5), ("answer", 1))}
    folder = write_states(tmp_path_factory.mktemp("states"), RUN, latents, text, embedding_norm=2.0)
    return MAKE([folder])


def cell(table, k, kind="input"):
    column = "role" if isinstance(k, str) else "latent_index"
    rows = table[(table["kind"] == kind) & (table[column] == k)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_there_is_a_row_for_each_kind_and_step_and_one_for_each_role_of_text(table):
    assert list(table.columns) == [*NAMES, *Collapse.COLUMNS]
    assert len(table) == 2 * (4 + 2)
    assert cell(table, 1)["label"] == "LT-Tuning"
    for kind in ("input", "output"):
        assert (cell(table, "question", kind)["vectors"], cell(table, 1, kind)["vectors"]) == ("text", "latent")


def test_text_rows_have_every_number_for_both_kinds(table):
    """The reference must exist for the kind that the figure draws, and one text token needs none before it."""
    text = table[table["vectors"] == "text"]
    assert text["n"].tolist() == [80] * 4
    assert text[["cosine", "cosine_centred", "effective_rank", "relative_norm"]].notna().all().all()
    assert cell(table, "question")["n_pairs"] > 40
    assert cell(table, "question")["step_cosine"] > 0.5
    assert cell(table, "answer")["n_pairs"] == 0
    assert np.isnan(cell(table, "answer")["step_cosine"])


def test_each_role_counts_once_in_the_mean_of_the_text(tmp_path):
    """100 zeros for each question as questions and one vector as answer: the mean is half that vector."""
    latents = np.tile(np.eye(WIDTH)[0], (60, 1)) + 1e-3 * isotropic(60)
    text = {"question": np.zeros((60, 99, WIDTH)), "answer": np.tile(2 * np.eye(WIDTH)[0], (60, 1, 1))}
    table = MAKE([write_states(tmp_path, RUN, {1: latents}, text)])
    assert cell(table, 1)["cosine"] > 0.99
    assert cell(table, 1)["cosine_centred"] < 0.1


def test_what_latents_precede_is_named_with_its_share(tmp_path, table):
    assert (cell(table, 1)["next_token"], cell(table, 1)["next_token_share"]) == (";", 1.0)
    assert cell(table, "question")[["next_token", "next_token_share"]].isna().all()
    at_the_end = MAKE([write_states(tmp_path, RUN, {1: isotropic(60)}, next_token=None)])
    assert at_the_end["next_token"].isna().all()


def test_the_same_number_of_vectors_is_used_everywhere(table):
    assert set(table.loc[table["reached"] >= 50, "n"]) == {80}
    assert cell(table, 2)["reached"] == 90
    assert cell(table, 2)["share_reached"] == 0.75


def test_a_step_that_few_questions_reach_gets_no_numbers(table):
    row = cell(table, 4)
    assert (row["reached"], row["n"]) == (20, 0)
    assert np.isnan(row["effective_rank"])


def test_a_collapsed_step_is_told_from_one_that_is_not(table):
    spread, collapsed = cell(table, 1), cell(table, 3)
    assert spread["cosine"] < 0.75
    assert collapsed["cosine"] > 0.999
    assert spread["cosine_high"] < collapsed["cosine_low"]


def test_centring_takes_away_what_all_vectors_share(table):
    assert cell(table, 1)["cosine"] > 0.5
    assert abs(cell(table, 1)["cosine_centred"]) < 0.1
    assert cell(table, 3)["cosine_centred"] > 0.9


def test_step_cosine_compares_latents_of_the_same_response(table):
    assert cell(table, 2)["step_cosine"] == pytest.approx(1)
    assert cell(table, 3)["step_cosine"] < 0.99
    assert np.isnan(cell(table, 1)["step_cosine"])


def test_norms_are_relative_to_the_embedding_table(table):
    assert cell(table, 3)["relative_norm"] == pytest.approx(2.5, rel=1e-3)
    assert cell(table, 3, kind="output")["relative_norm"] == pytest.approx(5, rel=1e-3)


def test_intervals_stand_around_their_values(table):
    measured = table[table["n"] > 0].astype({"components_95": float})
    for name in ("cosine", "cosine_centred", "effective_rank", "first_component", "relative_norm"):
        assert (measured[f"{name}_low"] < measured[name]).all(), name
        assert (measured[name] < measured[f"{name}_high"]).all(), name


def test_only_the_last_checkpoint_counts(tmp_path):
    latents = {1: isotropic(60)}
    folder = write_states(tmp_path, RUN, latents, checkpoints=(100, 300, 200))
    assert set(MAKE([folder])["checkpoint_step"]) == {300}


def test_the_table_is_the_same_each_time(tmp_path):
    folder = write_states(tmp_path, RUN, {1: isotropic(300)}, np.ones((300, 2, WIDTH)))
    pd.testing.assert_frame_equal(MAKE([folder]), MAKE([folder]))


def test_few_questions_still_give_numbers_when_few_were_asked(tmp_path):
    folder = write_states(tmp_path, RUN, {1: isotropic(16), 2: isotropic(9)})
    assert MAKE([folder])["n"].tolist() == [9, 9, 9, 9]
