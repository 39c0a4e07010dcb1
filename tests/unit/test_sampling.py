"""pass@k and majority votes against counting them out, and the seeds of drawn responses."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic import write_run, write_samples

from tests.families import LATENT, make_model
from tests.unit.test_latents_generate import prompts, run
from thoughtscope.errors import UserError
from thoughtscope.latents.fill import Fill
from thoughtscope.latents.fills.hidden import Settings as Hidden
from thoughtscope.run_id import RunId
from thoughtscope.statistics import wilson_interval
from thoughtscope.tables.sampling import Level, Sampling, majority, pass_at_k

RUN = RunId("chain", "qwen3", "codi", "full", 0)
ANSWERS = {
    "a": ["5", "5", "4", "5"],
    "b": ["4", "5", "4", None],
    "c": [None, "3", "5", "3"],
    "d": [None, None, None, None],
    "e": ["4", "5", "5", "4"],
}


@pytest.mark.parametrize(("samples", "correct"), [(5, 0), (5, 2), (5, 5), (4, 1)])
def test_pass_at_k_is_the_share_of_subsets_with_a_right_response(samples: int, correct: int) -> None:
    right = [i < correct for i in range(samples)]
    for k in range(1, samples + 1):
        subsets = list(itertools.combinations(right, k))
        assert pass_at_k([correct], samples, k)[0] == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_the_most_frequent_answer_wins_and_of_equals_the_first() -> None:
    right = {name: [one == "5" for one in said] for name, said in ANSWERS.items()}
    won = {name: majority(said, right[name]) for name, said in ANSWERS.items()}
    assert won == {"a": True, "b": False, "c": False, "d": False, "e": False}
    assert majority(ANSWERS["b"], right["b"][:2]) is False, "equally frequent: 4 was drawn first"
    assert majority(ANSWERS["e"][::-1], right["e"][::-1]) is False
    assert majority(["5", "4", "4", "5"], [True, False, False, True]) is True


def test_the_table_counts_passes_and_votes_for_each_k(tmp_path: Path) -> None:
    folder = write_run(tmp_path, RUN, {0: [True] * 5})
    write_samples(folder, ANSWERS, "5")
    table = Sampling(Level(), {"codi": "CODI"}).make([folder])
    assert table["k"].tolist() == [1, 2, 4]
    assert set(table["label"]) == {"CODI"}
    assert set(table["n"]) == {5}
    counts = [sum(one == "5" for one in said) for said in ANSWERS.values()]
    for _, row in table.iterrows():
        assert row["pass_at_k"] == pytest.approx(np.mean(pass_at_k(counts, 4, row["k"])))
        assert 0 <= row["pass_at_k_low"] <= row["pass_at_k"] <= row["pass_at_k_high"] <= 1
    assert table["majority"].tolist() == [0.2, 0.2, 0.2]
    assert tuple(table.loc[2, ["majority_low", "majority_high"]]) == pytest.approx(wilson_interval(1, 5, 0.95))
    assert table.loc[0, "unread"] == pytest.approx(6 / 20)


def test_a_run_without_drawn_responses_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path, RUN, {0: [True] * 5})
    write_samples(folder, {}, "5")
    with pytest.raises(UserError, match=r"it drew no responses; set evaluation\.sampling"):
        Sampling(Level()).make([folder])


@torch.no_grad()
def test_each_question_and_response_draws_numbers_of_its_own() -> None:
    model, fill = make_model("llama"), Fill(Hidden(kind="hidden"), LATENT)
    rows = prompts(rows=6)
    settings = {"temperature": 1.0, "top_k": 9, "top_p": 0.9, "min_p": 0.01, "max_latents": 0}
    drawn = [[one.response for one in run(model, rows, fill, sample=k, **settings)] for k in range(3)]
    assert drawn[0] != drawn[1] != drawn[2]
    assert drawn[1] == [run(model, [row], fill, sample=1, **settings)[0].response for row in rows]
    assert drawn[1] != [one.response for one in run(model, rows, fill, sample=1, seed=1, **settings)]
    greedy = [one.response for one in run(model, rows, fill, max_latents=0)]
    assert greedy == [one.response for one in run(model, rows, fill, **{**settings, "top_k": 1})]
    assert greedy == [one.response for one in run(model, rows, fill, **{**settings, "min_p": 1.0})]
