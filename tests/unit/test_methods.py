"""What each method lays out: where latents stand, what is labelled, and that the text underneath stays the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from thoughtscope.errors import UserError
from thoughtscope.latents.layout import IGNORE, Sequence
from thoughtscope.methods import confidence_insertion as insertion
from thoughtscope.methods import step_removal
from thoughtscope.methods.curriculum import Example, TokenIds, draw

ROOT = Path(__file__).parents[2]
IDS = TokenIds({step_removal.START: 90, step_removal.LATENT: 91, step_removal.END: 92, insertion.LATENT: 93})
EXAMPLE = Example("e", [1, 2, 3], [[10, 11], [12, 11], [13, 11]], [14, 15, 2], "15")


def removal(name: str, **changes: Any) -> step_removal.Settings:
    raw = yaml.safe_load((ROOT / f"config/methods/{name}.yaml").read_text())
    return step_removal.Settings.model_validate({**raw, **changes})


def lay(settings: step_removal.Settings, stage: int, example: Example = EXAMPLE) -> Sequence:
    return step_removal.layout(settings, step_removal.stages(settings, 3)[stage], example, IDS, draw(0), None)


def test_coconut_replaces_the_first_steps_by_marked_unlabelled_latents() -> None:
    coconut = removal("coconut")
    assert lay(coconut, 0).token_ids == (1, 2, 3, 10, 11, 12, 11, 13, 11, 14, 15, 2)
    second = lay(coconut, 2)
    assert second.token_ids == (1, 2, 3, 90, 91, 91, 91, 91, 92, 13, 11, 14, 15, 2)
    assert second.labels == (IGNORE,) * 9 + (13, 11, 14, 15, 2)
    assert [t for t, latent in enumerate(second.is_latent) if latent] == [4, 5, 6, 7]
    assert lay(coconut, 3).token_ids[-4:] == (92, 14, 15, 2)


@pytest.mark.parametrize("name", ["cot", "no-cot", "icot", "pause", "coconut"])
def test_the_answer_is_always_labelled_and_the_prompt_never(name: str) -> None:
    settings = removal(name)
    for stage in step_removal.stages(settings, 3):
        made = lay(settings, stage.index)
        assert made.labels[-3:] == (14, 15, 2)
        assert made.labels[:3] == (IGNORE,) * 3
        given = step_removal.prompt(settings, stage, EXAMPLE, IDS)
        assert made.token_ids[: len(given.token_ids)] == given.token_ids, "what is given at test time begins training's"


def test_controls_differ_from_coconut_in_one_thing_only() -> None:
    coconut, pause = removal("coconut"), removal("pause")
    for stage in range(4):
        assert lay(coconut, stage) == lay(pause, stage)
    assert (coconut.fill.kind, pause.fill.kind) == ("hidden", "pause")  # type: ignore[union-attr]
    assert lay(removal("icot"), 3).token_ids == (1, 2, 3, 14, 15, 2) == lay(removal("no-cot"), 0).token_ids
    assert len(step_removal.stages(removal("cot"), 3)) == len(step_removal.stages(removal("no-cot"), 3)) == 1


def test_short_examples_get_fewer_latents_unless_padded() -> None:
    short = Example("s", [1], [[10, 11]], [14, 2])
    assert lay(removal("coconut"), 3, short).latents == 2
    assert lay(removal("coconut", pad_to_last=True), 3, short).latents == 6


def test_earlier_stages_are_mixed_in_by_the_examples_own_draw() -> None:
    settings = removal("coconut", mix_earlier=1.0)
    stage = step_removal.stages(settings, 3)[3]
    counts = {step_removal.layout(settings, stage, EXAMPLE, IDS, draw(0, i), None).latents for i in range(40)}
    assert counts == {0, 2, 4, 6}


@pytest.mark.parametrize(("name", "latents"), [("coconut-gsm8k", [0, 2, 4, 6, 6]), ("coconut-prosqa", [*range(7), 6])])
def test_published_coconut_ends_without_any_step_and_with_no_more_latents(name: str, latents: list[int]) -> None:
    settings = removal(name)
    long = Example("l", [1], [[20 + i] for i in range(8)], [14, 2])
    made = [
        step_removal.layout(settings, stage, long, IDS, draw(0), None) for stage in step_removal.stages(settings, 8)
    ]
    assert [one.latents for one in made] == latents
    left = [sum(20 <= token < 28 for token in one.token_ids) for one in made]
    assert left == [*range(8, 9 - len(made), -1), 0]
    prompts = [step_removal.prompt(settings, stage, long, IDS).token_ids for stage in step_removal.stages(settings, 8)]
    assert all(one.token_ids[: len(given)] == given for one, given in zip(made, prompts, strict=True))


def test_nothing_is_left_to_remove_after_all_steps() -> None:
    with pytest.raises(ValueError, match="remove_rest leaves nothing"):
        removal("coconut", remove_rest=True)


def test_the_published_presets_differ_in_the_nucleus_alone() -> None:
    one, other = (
        yaml.safe_load((ROOT / f"config/methods/{name}.yaml").read_text())
        for name in ("lt-tuning-published", "lt-tuning-textbook-nucleus")
    )
    fills = [preset["curriculum"][2]["fill"].pop("keep_crossing") for preset in (one, other)]
    assert fills == [False, True]
    assert {**one, "label": ""} == {**other, "label": ""}


def test_shares_must_fit_the_stages() -> None:
    with pytest.raises(UserError, match="2 shares for 4 stages"):
        step_removal.stages(removal("coconut", shares=[0.1, 0.2]), 3)


def lt_tuning(name: str = "lt-tuning", **changes: Any) -> insertion.Settings:
    raw = yaml.safe_load((ROOT / f"config/methods/{name}.yaml").read_text())
    settings = insertion.Settings.model_validate(raw)
    if not changes:
        return settings
    stages = [
        stage if stage.insertion is None
        else stage.model_copy(update={"insertion": insertion.Insertion.model_validate(changes)})
        for stage in settings.curriculum
    ]  # fmt: skip
    return settings.model_copy(update={"curriculum": stages})


def thinking(settings: insertion.Settings, probabilities: list[float], *key: object, stage: int = 1) -> Sequence:
    return insertion.layout(settings, insertion.stages(settings, 3)[stage], EXAMPLE, IDS, draw(0, *key), probabilities)


SURE = [0.9] * 9


def test_a_latent_goes_right_before_each_token_below_tau_and_is_a_label() -> None:
    settings = lt_tuning(tau=0.3, keep=1.0, cap=10)
    made = thinking(settings, [0.1, *SURE[1:4], 0.2, *SURE[5:]])
    assert made.token_ids == (1, 2, 3, 93, 10, 11, 12, 11, 93, 13, 11, 14, 15, 2)
    assert made.labels == (IGNORE,) * 3 + made.token_ids[3:]
    assert made.text_ids == EXAMPLE.response


def test_removing_the_latents_gives_back_the_text_whatever_was_inserted() -> None:
    settings = lt_tuning(quantile=0.8, keep=0.7, second=0.5, cap=16)
    for i in range(50):
        made = thinking(settings, [((i * 7 + t * 13) % 10) / 10 for t in range(9)], i)
        assert made.text_ids == EXAMPLE.response
        assert not made.is_latent[0]


def test_the_cap_holds_and_least_confident_come_first() -> None:
    ranks = [0.5, 0.1, 0.4, 0.2, 0.8, 0.7, 0.6, 0.9, 0.3]
    settings = lt_tuning(tau=1.0, keep=1.0, cap=3, selection="least-confident")
    made = thinking(settings, ranks)
    after = [made.token_ids[t + 1] for t, latent in enumerate(made.is_latent) if latent]
    assert made.latents == 3
    assert sorted(after) == sorted([EXAMPLE.response[1], EXAMPLE.response[3], EXAMPLE.response[8]])
    twice = lt_tuning(tau=1.0, keep=1.0, second=1.0, cap=5)
    assert max(thinking(twice, ranks, i).latents for i in range(9)) == 5


def test_random_selection_is_each_examples_own_and_repeatable() -> None:
    settings = lt_tuning(tau=1.0, keep=0.5, cap=4)
    made = [thinking(settings, [0.5] * 9, f"example-{i}") for i in range(12)]
    assert len({one.token_ids for one in made}) > 6, "one seed for all examples would give one layout"
    assert made == [thinking(settings, [0.5] * 9, f"example-{i}") for i in range(12)]


def test_without_stage_three_differs_from_lt_tuning_in_the_fill_only() -> None:
    whole, without = lt_tuning(), lt_tuning("lt-tuning-without-stage-3")
    for mine, other in zip(whole.curriculum, without.curriculum, strict=True):
        assert (mine.share, mine.insertion) == (other.share, other.insertion)
    assert whole.curriculum[2].fill.kind == "fusion"  # type: ignore[union-attr]
    assert without.curriculum[2].fill.kind == "hidden"  # type: ignore[union-attr]
    assert len(lt_tuning("lt-tuning-without-stage-3-truncated").curriculum) == 2


def test_insertion_wants_one_threshold() -> None:
    with pytest.raises(ValueError, match="tau or quantile"):
        insertion.Insertion.model_validate({"keep": 1.0, "cap": 3})


def test_a_missing_token_is_one_line() -> None:
    with pytest.raises(UserError, match="token '<thinking>' is missing"):
        TokenIds({})["<thinking>"]
