"""Readouts of latents: nearest tokens by head and embedding, their table, and the figures that draw them."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from figure_data import evidence, said

from tests.families import EOS, VOCABULARY, make_model
from thoughtscope.evaluation.readouts import readout_rows
from thoughtscope.figures.latent_readouts import LatentReadouts
from thoughtscope.figures.read_and_used import ReadAndUsed
from thoughtscope.interventions.readouts import by_embedding, by_head
from thoughtscope.probes.readouts import READOUTS, Readouts
from thoughtscope.run_id import RunId
from thoughtscope.schemas import write
from thoughtscope.tables.readouts import Readouts as Table

RUN = RunId("chain", "qwen3", "coconut", "full", 0)


@pytest.mark.parametrize("family", ["qwen3", "gemma3_text"])
@torch.no_grad()
def test_the_head_reads_the_last_layer_as_the_model_does_and_inner_ones_after_the_norm(family: str) -> None:
    model = make_model(family)
    ids = torch.tensor([[5, 6, 7]])
    out = model(ids, output_hidden_states=True)
    values, tokens = by_head(model, out.hidden_states[-1][0], 4, 3)
    expected = out.logits[0].float().softmax(-1).topk(3)
    torch.testing.assert_close(values, expected.values)
    assert tokens.tolist() == expected.indices.tolist()
    inner, _ = by_head(model, out.hidden_states[2][0], 2, VOCABULARY)
    by_hand = model.lm_head(model.model.norm(out.hidden_states[2][0])).float().softmax(-1)
    torch.testing.assert_close(inner, by_hand.sort(descending=True).values)


@torch.no_grad()
def test_an_embedding_is_nearest_to_itself() -> None:
    model = make_model("llama")
    cosines, tokens = by_embedding(model, model.get_input_embeddings()(torch.tensor([EOS, 9])) * 3, 2)
    assert tokens[:, 0].tolist() == [EOS, 9]
    assert cosines[:, 0].tolist() == pytest.approx([1, 1], abs=1e-5)
    assert (cosines[:, 1] < 1).all()


def test_the_table_says_how_often_the_nearest_token_is_the_value_of_a_step(tmp_path) -> None:
    place = tmp_path / RUN.path / "tables"
    place.mkdir(parents=True)
    write(place / "readouts.parquet", Readouts.schema(READOUTS), said())
    table = Table(Table.Settings(), {"coconut": "Coconut"}).make([place.parent])
    assert len(table) == 2 * 3
    first = table[(table["latent_index"] == 1) & (table["readout"] == "embedding")].iloc[0]
    assert (first["target"], first["value_share"], first["n"]) == (2, 0.95, 20)
    assert first["value_low"] < 0.95 < first["value_high"]
    assert 0.05 < first["exchanged_share"] < 0.25
    second = table[(table["latent_index"] == 2) & (table["layer"] == 2)].iloc[0]
    assert (second["token"], second["token_share"], second["value_share"]) == (";", 1, 0)
    assert list(readout_rows(pd.DataFrame(said()), 0.95))


def test_the_strip_shows_the_first_questions_at_the_last_layer() -> None:
    kind = LatentReadouts(LatentReadouts.Settings(questions=2, tokens=2), {}, {"coconut": "Coconut"}, None)
    figure, points = kind.draw(pd.DataFrame(said()))
    assert set(points["layer"]) == {2}
    assert points["example_id"].unique().tolist() == ["q0", "q1"]
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts.count(";") == 2
    assert texts.count("x") == 1
    assert any("1 ?\nsteps: 1, 1" in text for text in texts)


def test_what_is_read_stands_above_what_is_followed() -> None:
    read, followed = evidence()
    kind = ReadAndUsed(ReadAndUsed.Settings(), {}, {"coconut": "Coconut"}, None)
    figure, points = kind.draw({"evidence": read, "effects": followed})
    assert points["place"].tolist() == ["fed", "fed", "layer 1", "layer 1", "followed", "followed"]
    assert points["value"].tolist() == [0.9, 0.95, 0.9, 0.95, 1, 0]
    assert points["target"].tolist()[:2] == [1, 2]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["fed", "layer 1", "followed"]
    alone, _ = kind.draw({"evidence": read, "effects": None})
    assert [text.get_text() for text in alone.axes[0].get_yticklabels()] == ["fed", "layer 1"]
