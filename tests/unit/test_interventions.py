"""Interventions on latents: what is fed, whose value answers follow, and the numbers of the table and the figure."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from figure_data import effects

from thoughtscope.evaluation.effects import effect_rows, inert_latents
from thoughtscope.figures.latent_effects import LatentEffects
from thoughtscope.interventions.gold import GoldAnswers
from thoughtscope.interventions.vectors import any_other, expected, mean, noise, partners, zeros
from thoughtscope.latents.generate import Generation
from thoughtscope.latents.layout import sequence
from thoughtscope.probes.interventions import EFFECTS, Interventions
from thoughtscope.schemas import write
from thoughtscope.tables.interventions import Interventions as Table
from thoughtscope.tasks import chain

CHAIN = chain.Settings.model_validate(
    {"kind": "chain", "modulus": 7, "operations": 3, "splits": {"train": 9, "validation": 9, "test": 60}}
)


def test_what_replaces_a_latent_is_as_long_as_it_says() -> None:
    own = torch.arange(12.0).reshape(4, 3) + 1
    assert not zeros(own, 0).any()
    torch.testing.assert_close(noise(own, 0).norm(dim=1), own.norm(dim=1))
    assert torch.equal(noise(own, 0), noise(own, 0))
    assert not torch.allclose(noise(own, 0), noise(own, 1))
    assert torch.equal(mean(own, 0), own.mean(dim=0).expand(4, 3))


def test_donors_are_other_questions_and_partners_give_to_each_other() -> None:
    rows = {row["example_id"]: row for row in CHAIN.examples() if row["split"] == "test"}
    donors = any_other(list(rows), 0)
    assert sorted(donors) == sorted(donors.values()) == sorted(rows)
    assert all(one != other for one, other in donors.items())
    pairs = partners(rows, 0)
    assert len(pairs) > len(rows) * 0.8
    for one, other in pairs.items():
        assert pairs[other] == one
        values = zip(rows[one]["step_values"], rows[other]["step_values"], strict=True)
        assert all(a != b for a, b in values)
    assert any_other(["alone"], 0) == {}


def test_what_follows_from_a_donors_value_is_what_python_computes() -> None:
    rows = [row for row in CHAIN.examples() if row["split"] == "test"]
    row, donor = rows[0], next(one for one in rows if one["step_values"][0] != rows[0]["step_values"][0])
    _, *rest = row["question"].removesuffix("=").split()
    value = int(donor["step_values"][0])
    for operator, operand in list(zip(rest[::2], rest[1::2], strict=True))[1:]:
        value = (value + int(operand) if operator == "+" else value * int(operand)) % 7
    assert expected(row, donor)[1] == str(value)
    bare = {"answer": "yes", "outcomes": [], "step_values": []}
    assert expected(bare, {**bare, "answer": "no"}) == {0: "no"}
    assert expected(bare, bare) == {}


def watcher(answer: list[int]) -> tuple[GoldAnswers, Generation]:
    """A question whose gold answer is the mark 5 6, then `answer`; token 9 stands at latents."""
    texts = {5: " ##", 6: "##"}
    tokenizer = SimpleNamespace(decode=lambda ids, **_: "".join(texts.get(one, str(one)) for one in ids))
    reasoner: Any = SimpleNamespace(tokenizer=tokenizer, latent_id=9, model=SimpleNamespace(device="cpu"))
    example: Any = SimpleNamespace(example_id="q", answer=[5, 6, *answer, 2])
    return GoldAnswers(reasoner, [example]), Generation(sequence("q", [1], []))


def say(gold: GoldAnswers, one: Generation, tokens: list[int]) -> list[torch.Tensor]:
    """Let a generation say some tokens after scores of its own for each; return their log-probabilities."""
    scores = torch.randn(len(tokens), 12, generator=torch.Generator().manual_seed(0))
    for token, row in zip(tokens, scores, strict=True):
        gold([one], row[None])
        one.response.append(token)
        one.latents += token == 9
    return list(scores.log_softmax(-1))


def test_the_gold_answer_is_measured_after_the_answer_mark_with_latents_between() -> None:
    gold, one = watcher([7])
    found = say(gold, one, [4, 9, 5, 6, 9, 8, 2])
    assert gold.log_probability(one) == pytest.approx(float(found[5][7]))
    gold, silent = watcher([7])
    say(gold, silent, [4, 5, 4])
    assert gold.log_probability(silent) is None


def test_of_several_tokens_those_count_up_to_the_first_that_differs() -> None:
    gold, one = watcher([7, 3])
    found = say(gold, one, [5, 6, 7, 4, 2])
    assert gold.log_probability(one) == pytest.approx(float(found[2][7] + found[3][3]))
    gold, other = watcher([7, 3])
    found = say(gold, other, [5, 6, 8, 3, 2])
    assert gold.log_probability(other) == pytest.approx(float(found[2][7]))


def test_effects_are_paired_by_question_and_donor_shares_name_the_step() -> None:
    found = pd.DataFrame(effect_rows(effects(), 0.95)).set_index(["intervention", "latent_index"])
    used, inert = found.loc[("swap", 1)], found.loc[("swap", 2)]
    assert (used["n"], used["seeds"], used["accuracy"], used["accuracy_change"]) == (40, 2, 0, -1)
    assert used["logprob_change"] == pytest.approx(-3.0)
    assert (used["target"], used["donor_share"], used["donor_n"]) == (1, 1, 80)
    assert inert["accuracy_change"] == pytest.approx(-1 / 40)
    assert inert["change_low"] < -1 / 40 < inert["change_high"]
    assert inert["logprob_low"] <= inert["logprob_change"] <= inert["logprob_high"]
    assert math.isnan(found.loc[("mean", 1), "donor_share"])


def test_a_latent_is_inert_if_its_exchange_surely_costs_little() -> None:
    assert inert_latents(effects(questions=400)) == {"coconut": [2]}
    assert inert_latents(effects(questions=8)) == {"coconut": []}, "too few questions to say so"


def test_a_response_without_an_answer_has_no_log_probability_and_is_counted() -> None:
    rows = effects(seeds=1)
    rows.loc[(rows["intervention"] == "mean") & (rows["example_id"] == "q3"), "gold_logprob"] = np.nan
    found = pd.DataFrame(effect_rows(rows, 0.95)).set_index(["intervention", "latent_index"])
    assert found.loc[("mean", 1), "answered"] == pytest.approx(39 / 40)
    assert found.loc[("mean", 1), "logprob_change"] == pytest.approx(-3.0)


def test_table_and_figure_show_the_same_numbers(tmp_path) -> None:
    folders = []
    for seed, part in effects().groupby("seed"):
        place = tmp_path / f"chain/qwen3/coconut/full/seed{seed}/tables"
        place.mkdir(parents=True)
        rows = part.replace({np.nan: None}).to_dict("records")
        assert write(place / "effects.parquet", Interventions.schema(EFFECTS), rows) == 200
        folders.append(place.parent)
    table = Table(Table.Settings(), {"coconut": "Coconut"}).make(folders)
    assert set(table["label"]) == {"Coconut"}
    assert list(table.columns)[6:] == Table.COLUMNS
    kind = LatentEffects(LatentEffects.Settings(), {}, {"coconut": "Coconut"}, None)
    figure, points = kind.draw(kind.read(folders))
    shown = points[points["shown"] == "effect"].sort_values(["intervention", "latent_index"])
    assert shown["accuracy"].tolist() == table.sort_values(["intervention", "latent_index"])["accuracy"].tolist()
    upper, lower = figure.axes
    assert upper.get_title() == "Coconut"
    assert sorted(bar.get_height() for bar in lower.patches) == pytest.approx([0, 0, 0.025, 1])
    with pytest.raises(ValueError, match="interventions"):
        Interventions.Settings(interventions=["twist"])
    assert Interventions.schema(EFFECTS).field("differs").type == pa.list_(pa.int32())
