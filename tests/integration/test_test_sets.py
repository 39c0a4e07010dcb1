"""Test sets beside `test` are measured once, at the end of a run."""

from __future__ import annotations

from .world import COT, World


def test_a_further_test_set_is_measured_at_the_end_alone(world: World) -> None:
    run = world.here("further", COT, training={"updates": 4}, evaluation={"every": 2})
    run.splits.further["test-other"] = run.splits.test[:5]
    run.execute()
    measured = [(row["split"], row["step"], row["n"]) for row in run.records.read("accuracy")]
    assert [(split, step) for split, step, _ in measured] == [("test", 0), ("test", 2), ("test", 4), ("test-other", 4)]
    assert measured[-1][2] == 5
    answers = [row for row in run.records.read("predictions") if row["split"] == "test-other"]
    assert [row["example_id"] for row in answers] == [one.example_id for one in run.splits.test[:5]]
