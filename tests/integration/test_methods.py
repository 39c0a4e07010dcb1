"""Methods with losses of their own train, resume bit for bit, answer as saved, and have their latents extracted."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from thoughtscope import schemas
from thoughtscope.accuracy import predict
from thoughtscope.artifacts import write_json
from thoughtscope.hidden_states.extract import LatentsSettings, extract_latents
from thoughtscope.hidden_states.read import read_vectors
from thoughtscope.latents.generate import Decoding
from thoughtscope.methods.self_distillation import TEACHER
from thoughtscope.parsing import merge
from thoughtscope.reasoner import load_reasoner
from thoughtscope.run_id import RunId
from thoughtscope.tasks.prepare import EXAMPLES
from thoughtscope.training.trainer import ContinueLaterError

from .world import World

SMALL: dict[str, Any] = {"training": {"updates": 6, "batch_size": 8}, "evaluation": {"every": 6}}
PROJECTOR = {"inner": 8, "dropout": 0.2}
METHODS: dict[str, dict[str, Any]] = {
    "codi": {"fill": {"projector": PROJECTOR}, "latents": 3},
    "pccot": {"fill": {"projector": PROJECTOR, "sweeps": 2}, "latents": 4},
    "sim-cot": {"latents_per_step": 1},
    "sim-cot-codi": {"fill": {"projector": PROJECTOR}, "latents": 3},
}


def changes(method: str) -> dict[str, Any]:
    own = {**METHODS[method], "ending": {"learned_at": None}}
    return {**SMALL, "overrides": {"methods": {method: own}}}


RUNS = [("codi", "full"), ("codi", "lora"), ("pccot", "full"), ("sim-cot", "lora"), ("sim-cot-codi", "full")]


@pytest.mark.parametrize(("method", "trainable"), RUNS)
def test_a_run_resumes_bit_for_bit_and_its_saved_model_answers_the_same(
    world: World, method: str, trainable: str, tmp_path: Path
) -> None:
    name, run = f"{method}-{trainable}", RunId("chain", "qwen3", method, trainable, 0)
    whole = world.here(f"{name}-whole", run, **changes(method))
    whole.execute()
    losses = [row["loss"] for row in whole.records.read("metrics")]
    assert len(losses) == 6
    calls = itertools.count()
    broken = world.here(f"{name}-broken", run, lambda: next(calls) == 2, **changes(method))
    with pytest.raises(ContinueLaterError):
        broken.execute()
    again = world.here(f"{name}-broken", run, **changes(method))
    again.execute()
    assert [row["loss"] for row in again.records.read("metrics")] == losses

    again.save_model(tmp_path / "model")
    saved = load_reasoner(tmp_path / "model")
    rows = predict(saved, again.splits.test, Decoding(**again.settings.evaluation.decoding))
    assert again.readings() == whole.readings()
    measured = [row for row in again.records.read("predictions") if row["step"] == 6 and row["layout"] == "last"]
    assert [row["response"] for row in rows] == [row["response"] for row in measured]


@pytest.mark.parametrize("method", METHODS)
def test_the_latents_of_a_run_are_extracted(world: World, method: str, tmp_path: Path) -> None:
    run = world.here(f"{method}-states", RunId("chain", "qwen3", method, "full", 0), **changes(method))
    run.execute()
    run.save_model(tmp_path / "run/model")
    write_json(tmp_path / "run/schedule.json", {"updates": 6, "precision": "float32"})
    examples = schemas.read(world.folder / "task" / EXAMPLES, schemas.REASONING).to_pylist()
    (tmp_path / "states").mkdir()
    asked = LatentsSettings.model_validate({"run": "a/b/c/full/seed0", "states": {"examples": 4, "text_tokens": 1}})
    extract_latents(asked, tmp_path / "run", examples, tmp_path / "states")
    latents = METHODS[method].get("latents", 3)
    vectors, about = read_vectors(tmp_path / "states", "input", latent_index=latents, checkpoint=6)
    assert len(vectors) == len(about["example_id"]) == 4
    model = load_reasoner(tmp_path / "run/model").model
    embedding = model.get_input_embeddings()(torch.tensor([run.curriculum.reasoner.latent_id]))
    assert not torch.allclose(torch.tensor(vectors[0]), embedding[0], atol=1e-2), "a state is fed, not the embedding"


def test_the_trainer_knows_where_the_answer_begins_and_counts_the_teachers_tokens(world: World) -> None:
    run = world.here("codi-counts", RunId("chain", "qwen3", "codi", "full", 0), **changes("codi"))
    run.begin_stage()
    row = run._laid_out(0, 0)
    tokens = run.curriculum.reasoner.tokenizer.convert_ids_to_tokens(row.example.answer)
    assert 0 < row.example.cue < len(tokens) - 1
    assert "#" in "".join(tokens[: row.example.cue])
    assert "".join(tokens[row.example.cue : -1]).strip("Ġ ") == row.example.gold
    run.update()
    metrics = run.records.read("metrics")[0]
    batch = [run._laid_out(0, index) for index in range(1)]
    assert batch[0].companions[TEACHER][0].token_ids[-len(tokens) :] == batch[0].sequence.token_ids[-len(tokens) :]
    assert metrics["labelled_tokens"] == 8 * (2 * len(tokens) + 4), "the answer twice, and two of three steps"


def test_soft_thinking_measures_a_backbone_without_an_update(world: World, tmp_path: Path) -> None:
    own = {"evaluation": {"max_latents": 7}, "training": {"keep_checkpoints": [0.5, 1.0]}}
    run = world.here("soft", RunId("chain", "qwen3", "soft-thinking", "full", 0), **own)
    before = {name: value.clone() for name, value in run.engine.take_weights().items()}
    run.execute()
    after = run.engine.take_weights()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert run.records.read("metrics") == []
    assert [(row["step"], row["n"]) for row in run.records.read("accuracy")] == [(0, len(run.splits.test))]
    assert [stage["name"] for stage in run.progress.realised] == ["soft thinking"]
    answers = run.records.read("predictions")
    assert all(0 <= row["latents"] <= 7 for row in answers)
    assert all("#" in row["response"] for row in answers), "thinking ends with the mark of the answer"
    again = world.here("soft", RunId("chain", "qwen3", "soft-thinking", "full", 0), **own)
    again.execute()
    assert again.records.read("predictions") == answers, "a finished run that starts again measures the same"


def test_what_a_decoder_reads_is_kept_and_the_decoder_is_dropped(world: World, tmp_path: Path) -> None:
    run = world.here("readings", RunId("chain", "qwen3", "sim-cot", "full", 0), **changes("sim-cot"))
    run.execute()
    rows = run.readings()
    schemas.write(tmp_path / "readings.parquet", schemas.READINGS, ({"run": "r", **row} for row in rows))
    examples = schemas.read(world.folder / "task" / EXAMPLES, schemas.REASONING).to_pylist()
    steps = {row["example_id"]: row["steps"] for row in examples if row["split"] == "test"}
    assert len(rows) == 3 * len(steps)
    for row in rows:
        assert row["step"] == steps[row["example_id"]][row["step_index"] - 1]
        assert row["correct"] == (row["reading"] == row["step"])
    run.save_model(tmp_path / "model")
    assert not any("auxiliary" in name for name in load_file(tmp_path / "model/model.safetensors"))


def test_responses_are_drawn_once_a_run_has_ended_and_its_times_are_kept(world: World) -> None:
    sampling = {"samples": 3, "temperature": 1.5, "top_p": 1.0}
    own = merge(changes("codi"), {"training": {"updates": 2}, "evaluation": {"every": 1, "sampling": sampling}})
    run = world.here("sampling", RunId("chain", "qwen3", "codi", "full", 0), **own)
    run.execute()
    rows = run.records.read("samples")
    n = len(run.splits.test)
    assert [(row["step"], row["sample"]) for row in rows] == [(2, sample) for sample in range(3) for _ in range(n)]
    drawn = [[row["predicted"] for row in rows if row["sample"] == sample] for sample in range(3)]
    assert drawn[0] != drawn[1] != drawn[2]
    again = Decoding(**run.settings.evaluation.decoding, temperature=1.5, sample=2, batch_size=3)
    expected = predict(run.curriculum.reasoner, run.splits.test[:5], again)
    assert drawn[2][:5] == [row["predicted"] for row in expected], "whatever the batch"
    assert run.times["seconds_per_question"] > 0
    assert all(row["operations"] > 0 for row in run.records.read("predictions"))
