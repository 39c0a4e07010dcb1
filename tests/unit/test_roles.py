"""Every token of an answered question has a role, so that latents are compared with text of a known kind."""

from __future__ import annotations

import pytest

from thoughtscope.hidden_states.roles import following, latent_places, roles, shared_ends, text_places
from thoughtscope.latents.layout import TokenSequence

LATENT, START, END = 90, 91, 92


def answered(prompt, response):
    ids = list(range(len(prompt) + len(response)))
    for place, piece in enumerate(response, start=len(prompt)):
        ids[place] = {"<l>": LATENT, "<s>": START, "<e>": END}.get(piece, ids[place])
    is_latent = [i >= len(prompt) and ids[i] == LATENT for i in range(len(ids))]
    return TokenSequence("q", tuple(ids), tuple(is_latent), (-100,) * len(ids), len(prompt)), [*prompt, *response]


def named(prompt, response, ends=(0, 0)):
    sequence, pieces = answered(prompt, response)
    return roles(sequence, pieces, {LATENT, START, END}, ends)


def test_steps_separators_and_answer_are_told_apart():
    response = ["3", "+4", "=7", " ;", " 7", "*2", "=14", ";", " ####", " ", "14"]
    assert named(["Q"], response)[1:] == [
        *("step", "step", "step", "separator"),
        *("step", "step", "step", "separator", "separator", "separator", "answer"),
    ]


@pytest.mark.parametrize("mark", [["####"], ["##", "##"], [" #", "###"], ["#", "#", "#", "# "]])
def test_the_answer_mark_may_be_cut_in_any_way(mark):
    assert named(["Q"], ["1", *mark, "5"])[1:] == ["step", *["separator"] * len(mark), "answer"]


def test_without_an_answer_mark_there_is_no_answer_and_after_the_last_one_there_is():
    assert named(["Q"], ["1", "2"])[1:] == ["step", "step"]
    assert named(["Q"], ["####", "1", "####", "2"])[1:] == ["separator", "step", "separator", "answer"]


def test_latents_and_control_tokens_are_no_text_and_do_not_part_it():
    names = named(["Q"], ["<s>", "<l>", "<l>", "<e>", "##", "<l>", "##", "5"])
    assert names[1:] == ["control", "latent", "latent", "control", "separator", "latent", "separator", "answer"]


def test_what_all_prompts_share_is_the_template():
    prompts = [[1, 2, 5, 6, 9], [1, 2, 7, 9], [1, 2, 5, 9]]
    assert shared_ends(prompts) == (2, 1)
    assert named(["<", "a", "b", ">"], ["5"], ends=(1, 1)) == ["template", "question", "question", "template", "step"]


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [([[1, 2, 3]], (3, 0)), ([[1, 1], [1, 1, 1]], (2, 0)), ([[1], [2]], (0, 0)), ([[4, 5], [3, 5]], (0, 1))],
)
def test_shared_ends_never_overlap(prompts, expected):
    assert shared_ends(prompts) == expected


def test_text_is_drawn_by_role_with_the_token_before_it_whatever_the_row():
    response = ["<l>", "1", "2", "3", ";", "####", "4"]
    sequence, pieces = answered(["a", "b", "c"], response)
    names = roles(sequence, pieces, {LATENT}, (1, 0))
    one, other = (text_places(row, sequence, names, 2) for row in (0, 5))
    assert [(p.position, p.role) for p in one] == [(p.position, p.role) for p in other]
    drawn = [place for place in one if place.role != "before"]
    assert all(place.role == names[place.position] for place in drawn)
    assert sorted(place.role for place in drawn) == sorted(
        ["question"] * 2 + ["step"] * 2 + ["separator"] * 2 + ["answer"]
    )
    there = {place.position for place in one}
    for place in drawn:
        assert place.position - 1 in there or sequence.is_latent[place.position - 1]


def test_every_text_token_has_the_same_chance():
    counts = dict.fromkeys(range(2, 6), 0)
    for i in range(400):
        sequence = TokenSequence(f"q{i}", (0, 1, 2, 3, 4, 5), (False,) * 6, (-100,) * 6, 2)
        places = text_places(0, sequence, ["template"] * 2 + ["step"] * 4, 1)
        counts[next(place.position for place in places if place.role == "step")] += 1
    assert min(counts.values()) > 70


def test_latents_are_numbered_and_know_what_follows():
    sequence, _ = answered(["Q"], ["<l>", "1", "<l>", "<l>", ";", "<l>"])
    places = latent_places(3, sequence)
    assert [(p.row, p.position, p.latent_index) for p in places] == [(3, 1, 1), (3, 3, 2), (3, 4, 3), (3, 6, 4)]
    assert [following(sequence, p.position) for p in places] == [2, 5, 5, None]
