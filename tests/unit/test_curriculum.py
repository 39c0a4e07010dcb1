"""When stages end, which models are kept on the way, and how a held learning rate falls."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from thoughtscope.errors import UserError
from thoughtscope.latents.fills.pause import Settings as Pause
from thoughtscope.methods.curriculum import Stage
from thoughtscope.training.curriculum import Curriculum, stage_lengths
from thoughtscope.training.hyperparameters import Optimizer
from thoughtscope.training.kept_models import due, superfluous
from thoughtscope.training.schedule import learning_rate


def stages(*shares: float) -> list[Stage]:
    return [Stage(index=i, name=str(i), share=share) for i, share in enumerate(shares)]


def test_stages_divide_the_updates_by_their_shares() -> None:
    assert stage_lengths(stages(0.5, 0.3, 0.2), 100, None) == [50, 30, 20]
    assert sum(stage_lengths(stages(0.15, 0.35, 0.5), 901, None)) == 901
    with pytest.raises(UserError, match="2 updates leave it none"):
        stage_lengths(stages(0.1, 0.9), 2, None)


def test_a_yoked_run_follows_what_its_leader_did() -> None:
    leader = [
        {"first_step": 0, "last_step": 7, "learned": True},
        {"first_step": 7, "last_step": 20, "learned": False},
    ]
    assert stage_lengths(stages(0.5, 0.5), 20, leader) == [7, 13]
    assert stage_lengths(stages(1.0), 99, leader) == [20], "a single stage lasts as long as the whole run"
    assert stage_lengths(stages(0.2, 0.3, 0.5), 99, leader) == [7, 13], "it stops where the leader's budget ended"
    leader[-1]["learned"] = True
    with pytest.raises(UserError, match="2 stages there, 3 here"):
        stage_lengths(stages(0.2, 0.3, 0.5), 20, leader)


class Staged:
    """What a curriculum needs of a reasoner: it can be put into a stage."""

    def __init__(self, stage: Stage | None = None) -> None:
        self.stage = stage

    def at(self, stage: Stage) -> Staged:
        return Staged(stage)


def until_learned(budget: int, learned_at: Sequence[int], tail: int = 10) -> Curriculum:
    """Return a finished curriculum of three stages that are learned after the given updates."""
    names = [Stage(index=i, name=str(i), share=None, learned_at=0.9, tail=tail if i == 2 else 0) for i in range(3)]
    made, learned = Curriculum(Staged(), names, budget, None), iter(learned_at)  # type: ignore[arg-type]
    made.progress.right = [True, False]
    while not made.finished:
        wanted = next(learned, None)
        while made.progress.step < made.stage_end:
            made.progress.step += 1
            if made.progress.step == wanted:
                made.note_learned()
        made.end_stage()
    return made


def test_stages_share_one_budget_and_end_when_they_are_learned() -> None:
    easy = until_learned(100, [20, 35, 50])
    assert [(one["first_step"], one["last_step"], one["tail"]) for one in easy.progress.realised] == [
        (0, 20, 0), (20, 35, 0), (35, 60, 10),
    ]  # fmt: skip
    assert (easy.progress.step, easy.updates, easy.unlearned) == (60, 60, None)
    late = until_learned(100, [20, 35, 95])
    assert (late.progress.step, late.progress.realised[-1]["tail"]) == (100, 5), "the budget holds"


def test_a_run_stops_in_the_stage_that_its_budget_did_not_suffice_for() -> None:
    stopped = until_learned(100, [20])
    assert [(one["name"], one["last_step"], one["learned"]) for one in stopped.progress.realised] == [
        ("0", 20, True), ("1", 100, False),
    ]  # fmt: skip
    assert (stopped.progress.stopped, stopped.unlearned) == (True, "1")


def test_a_follower_of_a_run_that_stopped_stops_there_too_and_its_rate_falls_with_its_leaders() -> None:
    for learned, decay in (([20, 35, 50], (50, 10)), ([20], (100, 0))):
        leader = until_learned(100, learned)
        follower = Curriculum(Staged(), stages(0.3, 0.3, 0.4), 999, leader.progress.realised)  # type: ignore[arg-type]
        follower.progress.right = [True]
        while not follower.finished:
            follower.progress.step = follower.stage_end
            follower.end_stage()
        ends = [[one["last_step"] for one in each.progress.realised] for each in (leader, follower)]
        assert ends[0] == ends[1]
        assert follower.decay == decay


def test_models_are_kept_at_fractions_of_a_way_whose_end_is_not_known_before() -> None:
    fractions = [0.1, 0.4, 0.7, 1.0]
    for end in (300, 1300):
        stage = Stage(index=0, name="latents", share=None, learned_at=0.9, fill=Pause(kind="pause"))
        made = Curriculum(Staged(), [stage], 2000, None)  # type: ignore[arg-type]
        for step in range(1, end + 1):
            made.progress.step, made.progress.stopped = step, step == end
            made.progress.kept += [step] if due(fractions, made, 25) else []
            gone = superfluous(fractions, made)
            made.progress.kept = [one for one in made.progress.kept if one not in gone]
            assert len(made.progress.kept) <= 16
        wanted = [share * end for share in fractions]
        assert made.progress.kept == pytest.approx(wanted, abs=max(13, end / 16))
        assert made.progress.kept[-1] == end


def test_a_held_rate_falls_over_the_tail() -> None:
    settings = Optimizer(learning_rate=1.0, schedule="wsd")
    rates = [learning_rate(settings, update, 1000, None, (50, 10)) for update in (0, 49, 50, 55, 60)]
    assert rates == [1.0, 1.0, 1.0, 0.5, 0.0]
    assert learning_rate(settings, 99, 1000, None, (100, 0)) == 1.0, "it does not fall before the stage is learned"
