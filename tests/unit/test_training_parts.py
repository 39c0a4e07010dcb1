"""The parts of training that are plain numbers and files: order of data, schedules, states, guards."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from thoughtscope.artifacts import artifact_files, artifact_folder, damaged
from thoughtscope.errors import UserError
from thoughtscope.latents.layout import sequence
from thoughtscope.methods.curriculum import Example
from thoughtscope.methods.minibatch import Counts, Row
from thoughtscope.training import guards
from thoughtscope.training import state as states
from thoughtscope.training.data import accumulation_steps, global_batch, micro_batches
from thoughtscope.training.hyperparameters import Optimizer, Training
from thoughtscope.training.ranks import Ranks
from thoughtscope.training.records import Records
from thoughtscope.training.schedule import learning_rate
from thoughtscope.training.state import load_state, newest, save_state


def test_every_epoch_is_a_permutation_and_batches_run_on_across_its_end() -> None:
    places = [place for update in range(6) for place in global_batch(3, update, 5, 10)]
    for epoch in range(3):
        assert sorted(index for e, index in places if e == epoch) == list(range(10))
    assert global_batch(3, 0, 5, 10) == global_batch(3, 0, 5, 10) != global_batch(4, 0, 5, 10)


@pytest.mark.parametrize("world", [1, 2, 4])
def test_ranks_share_a_batch_whole_and_agree_on_its_passes(world: int) -> None:
    laid = [sequence(str(i), [5], [3] * (i % 4) + [6], is_latent=[True] * (i % 4) + [False]) for i in range(16)]
    rows = [Row(Example(one.example_id, [5], [], [6]), one) for one in laid]
    seen: list[str] = []
    passes = []
    for rank in range(world):
        mine = list(micro_batches(rows, 2, rank, world))
        seen += [one.sequence.example_id for part, _ in mine for one in part]
        passes.append([count for _, count in mine])
    assert sorted(seen) == sorted(one.sequence.example_id for one in rows)
    assert all(one == passes[0] for one in passes)
    assert Counts.of(rows).labels == sum(i % 4 + 1 for i in range(16))


def test_a_batch_that_does_not_split_evenly_is_refused() -> None:
    assert accumulation_steps(Training(updates=1, batch_size=16, micro_batch_size=4), 2) == 2
    with pytest.raises(UserError, match="16 examples do not split into micro-batches of 3"):
        accumulation_steps(Training(updates=1, batch_size=16, micro_batch_size=3), 2)


def test_shares_of_ranks_join_in_order() -> None:
    items = list(range(7))
    parts = [Ranks(rank, 3).share(items) for rank in range(3)]
    assert [parts[i % 3][i // 3] for i in range(7)] == items
    assert Ranks().join(Ranks().share(items)) == items


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", {0: 0.1, 9: 1.0, 50: 1.0, 99: 1.0}),
        ("linear", {0: 0.1, 9: 1.0, 55: 0.5, 100: 0.0}),
        ("cosine", {0: 0.1, 9: 1.0, 55: 0.5, 100: 0.0}),
        ("wsd", {9: 1.0, 55: 1.0, 73: 1.0, 91: 0.5, 100: 0.0}),
    ],
)
def test_learning_rates_warm_up_and_fall(schedule: str, expected: dict[int, float]) -> None:
    raw = {"learning_rate": 2.0, "schedule": schedule, "warmup": 0.1, "decay": 0.2}
    settings = Optimizer.model_validate(raw)
    for update, factor in expected.items():
        assert learning_rate(settings, update, 100, None) == pytest.approx(2.0 * factor, abs=1e-9)


def test_rewarming_repeats_the_warm_up_after_a_switch_of_stage() -> None:
    settings = Optimizer(learning_rate=1.0, at_stage_switch="rewarm", warmup_updates_at_switch=4)
    assert [learning_rate(settings, 50, 100, since) for since in (None, 0, 1, 3, 9)] == [1.0, 0.25, 0.5, 1.0, 1.0]


def save(folder: Path, step: int, keep: int = 2) -> None:
    save_state(folder, step, [("weight/a", torch.full((3,), float(step)))], {"step": step}, keep)


def test_the_newest_whole_state_is_taken_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    said: list[str] = []
    assert newest(tmp_path, said.append) is None
    for step in (10, 20, 30):
        save(tmp_path, step)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step-00000020", "step-00000030"]
    damaged_file = tmp_path / "step-00000030" / "tensors-0000.safetensors"
    damaged_file.write_bytes(damaged_file.read_bytes()[:-4])
    found = newest(tmp_path, said.append)
    assert found is not None
    read = load_state(found)
    assert read.facts == {"step": 20}
    assert torch.equal(read.tensors["weight/a"], torch.full((3,), 20.0))
    assert said == ["state step-00000030 is damaged (tensors-0000.safetensors): going back to the one before"]


def test_a_state_is_written_a_file_at_a_time_and_read_a_tensor_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tensors that were written are free before the last ones are made."""
    monkeypatch.setattr(states, "FILE_BYTES", 900)
    alive: list[weakref.ref[torch.Tensor]] = []

    def tensors() -> Iterator[tuple[str, torch.Tensor]]:
        for i in range(12):
            made = torch.full((100,), float(i))
            alive.append(weakref.ref(made))
            yield f"{'weight' if i % 2 else 'exp_avg'}/{i}", made
            del made
            assert sum(one() is not None for one in alive) <= 3

    save_state(tmp_path, 5, tensors(), {}, keep=1)
    found = load_state(tmp_path / "step-00000005")
    assert len(set(found.files.values())) == 6
    assert {name: float(value[0]) for name, value in found.under("weight/").items()} == {
        str(i): float(i) for i in range(1, 12, 2)
    }
    assert len(found.tensors) == 12


def test_records_after_a_step_and_a_line_cut_short_are_dropped(tmp_path: Path) -> None:
    records = Records(tmp_path, "run", active=True)
    for table in ("metrics", "accuracy"):
        records.add(table, *({"step": step} for step in range(5)))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5')
    assert [row["step"] for row in records.read("metrics")] == [0, 1, 2, 3, 4]
    records.cut(3, 2)
    assert [row["step"] for row in records.read("metrics")] == [0, 1, 2, 3]
    assert [row["step"] for row in records.read("accuracy")] == [0, 1, 2]
    records.cut(-1, -1)
    assert records.read("metrics") == records.read("predictions") == []


@pytest.mark.parametrize(
    ("loss", "norm", "expected"),
    [(float("nan"), 1.0, "the loss is nan"), (float("inf"), 1.0, "the loss is inf"), (1.0, 1e9, "gradient norm is 1e")],
)
def test_an_update_off_the_scale_stops_the_run(loss: float, norm: float, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        guards.check_update("run", 3, loss, norm, 1e6)
    guards.check_update("run", 3, 1.0, 1.0, 1e6)


def test_weights_that_must_move_or_must_not_are_watched() -> None:
    weights = {"a": torch.ones(3)}
    before = guards.weights_digest(weights)
    assert before == guards.weights_digest({"a": torch.ones(3)})
    with pytest.raises(UserError, match="no weight changed up to update 5"):
        guards.check_moved("run", 5, before, guards.weights_digest(weights))
    weights["a"][0] += 1e-7
    with pytest.raises(UserError, match="frozen backbone moved"):
        guards.check_fixed("run", before, guards.weights_digest(weights))


def test_an_artifact_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "made"
    with artifact_folder(target, {}) as folder:
        (folder / "one.txt").write_text("1")

    def fail_half_way() -> None:
        with artifact_folder(target, {}) as folder:
            (folder / "two.txt").write_text("2")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way()
    assert sorted(path.name for path in target.iterdir()) == ["manifest.json", "one.txt", "provenance.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert damaged(target) == []
    (target / "one.txt").write_text("x")
    assert damaged(target) == ["one.txt"]


def test_artifact_files_are_renamed_together_at_the_end(tmp_path: Path) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text("old")

    def fail_half_way() -> None:
        with artifact_files(first, second) as staged:
            staged[0].write_text("new")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way()
    assert first.read_text() == "old"
    assert list(tmp_path.iterdir()) == [first]
