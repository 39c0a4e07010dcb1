"""What each method lays out: where latents stand, what is labelled, and that the text underneath stays the same."""

from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
import yaml

from thoughtscope.errors import UserError
from thoughtscope.latents.layout import IGNORE, TokenSequence
from thoughtscope.methods import confidence_insertion as insertion
from thoughtscope.methods import step_removal, token_removal
from thoughtscope.methods.curriculum import Example, TokenIds, example_rng
from thoughtscope.reasoner import read_method

ROOT = Path(__file__).parents[2]
IDS = TokenIds({step_removal.START: 90, step_removal.LATENT: 91, step_removal.END: 92, insertion.LATENT: 93})
EXAMPLE = Example("e", [1, 2, 3], [[10, 11], [12, 11], [13, 11]], [14, 15, 2], "15")


def removal(name: str, **changes: Any) -> step_removal.Settings:
    raw = yaml.safe_load((ROOT / f"config/methods/{name}.yaml").read_text())
    return step_removal.Settings.model_validate({**raw, **changes})


def lay(settings: step_removal.Settings, stage: int, example: Example = EXAMPLE) -> TokenSequence:
    return settings.layout(settings.stages(3)[stage], example, IDS, example_rng(0), None)


def test_coconut_replaces_the_first_steps_by_marked_unlabelled_latents() -> None:
    coconut = removal("coconut")
    assert lay(coconut, 0).token_ids == (1, 2, 3, 10, 11, 12, 11, 13, 11, 14, 15, 2)
    second = lay(coconut, 2)
    assert second.token_ids == (1, 2, 3, 90, 91, 91, 91, 91, 92, 13, 11, 14, 15, 2)
    assert second.labels == (IGNORE,) * 9 + (13, 11, 14, 15, 2)
    assert [t for t, latent in enumerate(second.is_latent) if latent] == [4, 5, 6, 7]
    assert lay(coconut, 3).token_ids[-4:] == (92, 14, 15, 2)


@pytest.mark.parametrize("name", ["cot", "no-cot", "coconut-without-thoughts", "pause", "coconut"])
def test_the_answer_is_always_labelled_and_the_prompt_never(name: str) -> None:
    settings = removal(name)
    for stage in settings.stages(3):
        made = lay(settings, stage.index)
        assert made.labels[-3:] == (14, 15, 2)
        assert made.labels[:3] == (IGNORE,) * 3
        given = settings.prompt(stage, EXAMPLE, IDS)
        assert made.token_ids[: len(given.token_ids)] == given.token_ids, "what is given at test time begins training's"


def test_controls_differ_from_coconut_in_one_thing_only() -> None:
    coconut, pause = removal("coconut"), removal("pause")
    for stage in range(4):
        assert lay(coconut, stage) == lay(pause, stage)
    assert (coconut.fill.kind, pause.fill.kind) == ("hidden", "pause")  # type: ignore[union-attr]
    without = removal("coconut-without-thoughts")
    left = [lay(without, stage).token_ids[3:] for stage in range(4)]
    assert left == [tuple(EXAMPLE.response[2 * stage :]) for stage in range(4)]
    assert lay(without, 3).token_ids == (1, 2, 3, 14, 15, 2) == lay(removal("no-cot"), 0).token_ids
    assert len(removal("cot").stages(3)) == len(removal("no-cot").stages(3)) == 1


@pytest.mark.parametrize("name", ["coconut", "pause", "coconut-gsm8k", "coconut-prosqa"])
@pytest.mark.parametrize("steps", [0, 1, 3, 9])
def test_what_is_given_at_test_time_depends_on_the_question_and_the_stage_alone(name: str, steps: int) -> None:
    settings = removal(name)
    other = Example("o", EXAMPLE.prompt, [[20 + i, 11] for i in range(steps)], [16, 2], "16")
    for stage in settings.stages(3):
        given = settings.prompt(stage, EXAMPLE, IDS)
        assert settings.prompt(stage, other, IDS).token_ids == given.token_ids
        trained = settings.layout(stage, other, IDS, example_rng(0), None)
        assert trained.latents == given.latents, "an example without steps has as many latents as any other"
        assert trained.token_ids[: len(given.token_ids)] == given.token_ids


@pytest.mark.parametrize("path", sorted((ROOT / "config/methods").glob("*.yaml")), ids=lambda path: path.stem)
def test_no_method_gives_anything_of_the_gold_solution_at_test_time(path: Path) -> None:
    method = read_method(yaml.safe_load(path.read_text()), path.stem)
    other = Example("o", EXAMPLE.prompt, [[20, 21]] * 5, [16, 17, 2], "16")
    for stage in method.stages(3):
        given = method.prompt(stage, EXAMPLE, IDS)
        assert given.token_ids == method.prompt(stage, other, IDS).token_ids
        assert given.token_ids[:3] == tuple(EXAMPLE.prompt)


def test_latents_need_a_step_that_they_could_replace() -> None:
    with pytest.raises(UserError, match="no training example has a step that latents could replace"):
        removal("coconut", shares=[]).stages(0)
    assert len(removal("no-cot").stages(0)) == 1
    with pytest.raises(UserError, match="first_stage: it removes 2 steps, the last stage 1; lower it"):
        removal("coconut", shares=[], first_stage=2, last_stage=1).stages(3)


def test_earlier_stages_are_mixed_in_by_the_examples_own_example_rng() -> None:
    settings = removal("coconut", mix_earlier=1.0)
    stage = settings.stages(3)[3]
    counts = {settings.layout(stage, EXAMPLE, IDS, example_rng(0, i), None).latents for i in range(40)}
    assert counts == {0, 2, 4, 6}


def test_nothing_is_left_to_remove_after_all_steps() -> None:
    with pytest.raises(ValueError, match="remove_rest leaves nothing"):
        removal("coconut", remove_rest=True)


def test_shares_must_fit_the_stages() -> None:
    with pytest.raises(UserError, match="2 shares for 4 stages"):
        removal("coconut", shares=[0.1, 0.2], ending={}).stages(3)


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


def thinking(settings: insertion.Settings, probabilities: list[float], *key: object, stage: int = 1) -> TokenSequence:
    return settings.layout(settings.stages(3)[stage], EXAMPLE, IDS, example_rng(0, *key), probabilities)


SURE = [0.9] * 9


def text_after(prompt: list[int], made: TokenSequence) -> list[int]:
    """Return the response of a sequence without its latents."""
    text = [token for token, latent in zip(made.token_ids, made.is_latent, strict=True) if not latent]
    assert text[: len(prompt)] == prompt
    return text[len(prompt) :]


def test_a_latent_goes_right_before_each_token_below_tau_and_is_a_label() -> None:
    settings = lt_tuning(tau=0.3, keep=1.0, cap=10)
    made = thinking(settings, [0.1, *SURE[1:4], 0.2, *SURE[5:]])
    assert made.token_ids == (1, 2, 3, 93, 10, 11, 12, 11, 93, 13, 11, 14, 15, 2)
    assert made.labels == (IGNORE,) * 3 + made.token_ids[3:]
    assert text_after(EXAMPLE.prompt, made) == EXAMPLE.response


def test_removing_the_latents_gives_back_the_text_whatever_was_inserted() -> None:
    settings = lt_tuning(quantile=0.8, keep=0.7, second=0.5, cap=16)
    for i in range(50):
        made = thinking(settings, [((i * 7 + t * 13) % 10) / 10 for t in range(9)], i)
        assert text_after(EXAMPLE.prompt, made) == EXAMPLE.response
        assert not made.is_latent[0]


def test_the_cap_holds_and_least_confident_come_first() -> None:
    ranks = [0.5, 0.1, 0.4, 0.2, 0.8, 0.7, 0.6, 0.9, 0.3]
    settings = lt_tuning(tau=1.0, keep=1.0, cap=3, selection="least-confident")
    made = thinking(settings, ranks)
    after = [made.token_ids[t + 1] for t, latent in enumerate(made.is_latent) if latent]
    assert made.latents == 3
    assert sorted(after) == sorted([EXAMPLE.response[1], EXAMPLE.response[3], EXAMPLE.response[8]])
    twice = lt_tuning(tau=1.0, keep=1.0, second=1.0, cap=4)
    assert {thinking(twice, ranks, i).latents for i in range(9)} == {8}, "second latents come on top of the cap"


def published_count(candidates: int, cap: int, keep: float, second: float, rng: random.Random) -> int:
    """Return how many latents the published code inserts: draw `cap` candidates, keep each by chance, add seconds."""
    drawn = rng.sample(range(candidates), min(cap, candidates))
    kept = [one for one in drawn if rng.random() < keep]
    return len(kept) + sum(rng.random() < second for _ in kept)


@pytest.mark.parametrize("candidates", [4, 10, 40])
def test_the_number_of_latents_has_the_distribution_of_the_published_sampling(candidates: int) -> None:
    chosen = insertion.Insertion(tau=0.3, keep=0.85, second=0.15, cap=10)
    response, unsure, rng = list(range(50)), [0.1] * candidates + [0.9] * (50 - candidates), random.Random(1)
    ours = [len(insertion.insertion_places(chosen, response, unsure, example_rng(0, i))) for i in range(4000)]
    theirs = [published_count(candidates, 10, 0.85, 0.15, rng) for _ in range(4000)]
    assert mean(ours) == pytest.approx(min(candidates, 10) * 0.85 * 1.15, abs=0.1)
    assert mean(ours) == pytest.approx(mean(theirs), abs=0.12)
    assert stdev(ours) == pytest.approx(stdev(theirs), rel=0.06)
    assert max(ours) <= 2 * min(candidates, 10)
    assert (candidates < 10) or max(ours) > 10, "the cap is on candidates, not on latents"


def test_every_candidate_is_drawn_equally_often_under_the_cap() -> None:
    chosen = insertion.Insertion(tau=0.3, keep=1.0, cap=5)
    drawn = Counter(
        t for i in range(4000) for t in insertion.insertion_places(chosen, [0] * 20, [0.1] * 20, example_rng(0, i))
    )
    assert set(drawn) == set(range(20))
    assert all(count == pytest.approx(1000, abs=120) for count in drawn.values())


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


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "give tau or quantile, one of them"),
        ({"tau": 0.3, "quantile": 0.5}, "give tau or quantile, one of them"),
        ({"tau": 0.3, "selection": "anywhere"}, "selection anywhere takes all tokens"),
    ],
)
def test_insertion_wants_one_threshold_where_it_uses_one(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        insertion.Insertion.model_validate({"keep": 1.0, "cap": 3, **changes})


def test_anywhere_inserts_before_any_token_and_needs_no_probabilities() -> None:
    settings = lt_tuning(selection="anywhere", keep=1.0, cap=2)
    assert not any(stage.scored for stage in settings.stages(3))
    stage = settings.stages(3)[1]
    made = [settings.layout(stage, EXAMPLE, IDS, example_rng(0, i), None) for i in range(60)]
    assert {one.latents for one in made} == {2}
    after = {one.token_ids[t + 1] for one in made for t, latent in enumerate(one.is_latent) if latent}
    assert after >= set(EXAMPLE.response)


def icot(**changes: Any) -> token_removal.Settings:
    raw = yaml.safe_load((ROOT / "config/methods/icot.yaml").read_text())
    return token_removal.Settings.model_validate({**raw, **changes})


def test_icot_removes_one_token_more_in_each_stage_and_then_all() -> None:
    settings = icot(smoothing=None, remove_all_at=4)
    stages = settings.stages(3)
    laid = [settings.layout(stage, EXAMPLE, IDS, example_rng(0), None) for stage in stages]
    left = [one.token_ids[3:] for one in laid]
    assert left == [tuple(EXAMPLE.response[removed:]) for removed in (0, 1, 2, 3)] + [tuple(EXAMPLE.answer)]
    assert all(one.labels[3:] == one.token_ids[3:] and one.latents == 0 for one in laid)
    assert sum(stage.share for stage in stages) == pytest.approx(1)
    assert settings.prompt(stages[-1], EXAMPLE, IDS).token_ids == (1, 2, 3)
    short = Example("s", [1], [[10]], [14, 2])
    assert settings.layout(stages[3], short, IDS, example_rng(0), None).token_ids == (1, 14, 2)


def test_icot_smooths_the_removal_with_the_published_distribution() -> None:
    settings = icot(smoothing=1.0)
    stage = settings.stages(3)[2]
    long = Example("l", [1], [[10] * 50], [14, 2])
    removed = Counter(
        50 + 3 - len(settings.layout(stage, long, IDS, example_rng(0, i), None).token_ids) for i in range(8000)
    )
    for offset in range(4):
        expected = (1 - math.exp(-1)) * math.exp(-offset)
        assert removed[2 + offset] / 8000 == pytest.approx(expected, abs=0.02)
    assert min(removed) == 2


def test_icot_leaves_its_last_stage_some_updates() -> None:
    with pytest.raises(ValueError, match="leave nothing to the stage without steps"):
        icot(first_share=0.5, token_share=0.1)


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        (
            "coconut",
            {"fill": {"kind": "hidden", "alpha": 0.3}},
            "fill.alpha: unknown key; remove it; known keys: kind, layer",
        ),
        ("coconut", {"fill": {"kind": "hidden", "adapter": 16}}, "fill.adapter: unknown key"),
        ("coconut", {"fill": {"kind": "pause", "layer": 1}}, "fill.layer: unknown key; remove it; known keys: kind"),
        ("coconut", {"fill": {"kind": "pause", "sweeps": 2}}, "fill.sweeps: unknown key"),
        ("coconut", {"fill": {"kind": "fusion", "alpha": 1.5}}, "fill.alpha: Input should be less than or equal to 1"),
        (
            "coconut",
            {"fill": {"kind": "hidden", "layer": -1}},
            "fill.layer: Input should be greater than or equal to 0",
        ),
        ("coconut", {"fill": {"kind": "hiden"}}, "fill: no kind 'hiden': use one of fusion, hidden, pause, soft"),
        ("coconut", {"fill": {}}, "fill: give it a kind: one of fusion, hidden, pause, soft"),
        ("coconut", {"kind": "coconut"}, "method m: kind: no kind 'coconut'; use one of"),
        ("coconut", {"kind": "curriculum"}, "thoughtscope.methods.curriculum has no Settings"),
        ("coconut", {"kind": None}, "method m: key kind is missing; set it to one of"),
        (
            "coconut",
            {"initial_rows": {"<thinking>": ";"}},
            "initial_rows: the method adds no token '<thinking>': use one",
        ),
        ("cot", {"initial_rows": {"<thinking>": ";"}}, "the method adds no token '<thinking>': remove it"),
        ("coconut", {"fill": None}, "fill and latents_per_step go together"),
        ("cot", {"empty_markers": True}, "empty_markers needs a method with latents"),
    ],
)
def test_a_mistake_in_a_method_is_one_line(name: str, changes: dict[str, Any], expected: str) -> None:
    raw = yaml.safe_load((ROOT / f"config/methods/{name}.yaml").read_text())
    with pytest.raises(UserError) as caught:
        read_method({**raw, **changes}, "method m")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("stage", "changes", "expected"),
    [
        (
            2,
            {"fill": {"kind": "hidden", "alpha": 0.6}},
            "curriculum.2.fill.alpha: unknown key; remove it; known keys: kind, layer",
        ),
        (1, {"insertion": {"tau": 0.3, "keep": 1, "cap": 2, "capp": 3}}, "curriculum.1.insertion.capp: unknown key"),
        (2, {"name": "explicit CoT"}, "two stages have the same name"),
        (1, {"fill": {"kind": "fusion", "adapter": 8}}, "stages of one kind of fill share its adapter"),
    ],
)
def test_a_mistake_in_a_stage_is_one_line(stage: int, changes: dict[str, Any], expected: str) -> None:
    raw = yaml.safe_load((ROOT / "config/methods/lt-tuning.yaml").read_text())
    raw["curriculum"][stage] |= changes
    with pytest.raises(UserError) as caught:
        read_method(raw, "method m")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_token_is_one_line() -> None:
    with pytest.raises(UserError, match="token '<thinking>' is missing"):
        TokenIds({})["<thinking>"]
