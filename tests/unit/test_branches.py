"""Branches of answered questions: the same vector changes nothing, another one does what a slow computation says."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.families import EOS, LATENT, VOCABULARY, make_model
from thoughtscope.errors import UserError
from thoughtscope.latents.branches import Answered, Branch
from thoughtscope.latents.fill import Fill
from thoughtscope.latents.fills.hidden import Settings as Hidden
from thoughtscope.latents.fills.pause import Settings as Pause
from thoughtscope.latents.generate import Decoding, Generation, generate
from thoughtscope.latents.layout import TokenSequence, sequence

FILLS = {"hidden": Hidden(kind="hidden"), "pause": Pause(kind="pause")}
MOST_TEXT, MOST_LATENTS = 8, 5


def prompts(forced: int, rows: int = 6) -> list[TokenSequence]:
    """Questions of several lengths; with forced latents, a token follows these."""
    rng, made = random.Random(0), []
    thoughts, flags = [LATENT] * forced + [4] * bool(forced), [True] * forced + [False] * bool(forced)
    for i in range(rows):
        text = [rng.randrange(5, VOCABULARY) for _ in range(rng.randint(1, 6))]
        made.append(sequence(str(i), text, thoughts, is_latent=flags, labelled=[False] * len(thoughts)))
    return made


def chatty(family: str, forced: int) -> Any:
    """A model that, without forced latents, chooses latents now and then."""
    model = make_model(family)
    if not forced:
        said = [t for one in answers(model, prompts(0, 12), None, 1) for t in one.response]
        with torch.no_grad():
            model.lm_head.weight[LATENT] = model.lm_head.weight[max(set(said), key=said.count)] * 1.05
    return model


def decoding(forced: int) -> Decoding:
    most = 0 if forced else MOST_LATENTS
    return Decoding(max_new_tokens=MOST_TEXT, max_latents=most, max_latents_in_a_row=2, batch_size=4)


def answers(model: Any, rows: list[TokenSequence], fill: Fill | None, forced: int) -> list[Generation]:
    return generate(model, rows, fill, decoding(forced), latent_id=LATENT, eos_ids=[EOS])


@torch.no_grad()
def slow(model: Any, one: TokenSequence, changed: dict[int, Tensor], recurrent: bool, forced: int) -> list[int]:
    """Answer a question token by token, everything before each of them computed again."""
    embed, fed, response = model.get_input_embeddings(), [], []

    def state() -> Tensor:
        return model.model(inputs_embeds=torch.stack(fed)[None]).last_hidden_state[0, -1]

    def add(token: int, latent: bool) -> None:
        vector = state() if latent and recurrent else embed(torch.tensor(token))
        fed.append(changed.get(len(fed), vector))

    for token, latent in zip(one.token_ids, one.is_latent, strict=True):
        add(token, latent)
    while len(response) - response.count(LATENT) < MOST_TEXT:
        scores = model.lm_head(state())
        most = 0 if forced else MOST_LATENTS
        if response.count(LATENT) >= most or response[-2:] == [LATENT] * 2:
            scores[LATENT] = -torch.inf
        token = int(scores.argmax())
        if token == EOS:
            break
        response.append(token)
        add(token, token == LATENT)
    return response


def answered(family: str, name: str, forced: int) -> Answered:
    model, fill = chatty(family, forced), Fill(FILLS[name], LATENT)
    made = Answered(model, answers(model, prompts(forced), fill, forced), fill, LATENT)
    assert any(made.latents(row) for row in range(len(made.sequences))), "the test must see latents"
    return made


def places(made: Answered) -> list[tuple[int, int]]:
    return [(row, place) for row in range(len(made.sequences)) for place in made.latents(row)]


def whole(one: Generation) -> list[int]:
    return [*one.prompt.token_ids, *one.response]


@pytest.mark.parametrize("forced", [0, 3])
@pytest.mark.parametrize("family", ["qwen3", "gemma3_text"])
def test_the_same_vector_changes_nothing(family: str, forced: int) -> None:
    made = answered(family, "hidden", forced)
    seen: dict[int, Tensor] = {}

    def watch(alive: list[Generation], scores: Tensor) -> None:
        seen.update((len(whole(one)) - 1, row.clone()) for one, row in zip(alive, scores, strict=True))

    for row, place in places(made):
        seen.clear()
        branch = Branch(row, place, made.fed[row, place].clone(), made.forced_after(row, place))
        (found,) = made.follow([branch], decoding(forced), [EOS], watch)
        base = made.generations[row]
        assert whole(found) == whole(base)
        assert seen
        with torch.no_grad():
            states = made.model.model(inputs_embeds=made.fed[row, : len(whole(base))][None]).last_hidden_state[0]
            expected = made.model.lm_head(states)[list(seen)]
        torch.testing.assert_close(torch.stack(list(seen.values())).double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("forced", [0, 3])
@pytest.mark.parametrize("name", FILLS)
def test_another_vector_does_what_a_computation_without_a_cache_says(name: str, forced: int) -> None:
    made, rng = answered("llama", name, forced), torch.Generator().manual_seed(0)
    branches = [
        Branch(row, place, torch.randn(made.fed.shape[-1], generator=rng).double(), made.forced_after(row, place))
        for row, place in places(made)
    ]
    changed = 0
    for branch, found in zip(branches, made.follow(branches, decoding(forced), [EOS]), strict=True):
        base = made.generations[branch.row]
        assert branch.fed is not None
        expected = slow(made.model, base.prompt, {branch.position: branch.fed}, name == "hidden", forced)
        assert whole(found) == [*base.prompt.token_ids, *expected]
        changed += found.response != base.response
    assert changed, "a random vector must change some answers"


def test_latents_are_removed_and_added_as_if_the_prompt_had_fewer_or_more() -> None:
    made = answered("llama", "hidden", 3)
    for count in (0, 1, 2, 5):
        expected = answers(made.model, prompts(count or 1), Fill(FILLS["hidden"], LATENT), 3)
        branches = []
        for row in range(len(made.sequences)):
            first, last = made.latents(row)[0], made.latents(row)[-1]
            if count < 3:
                branches.append(Branch(row, first + count - 1, forced=((4, False),)))
            else:
                branches.append(Branch(row, last, forced=((LATENT, True),) * (count - 3) + ((4, False),)))
        found = made.follow(branches, decoding(3), [EOS])
        if count:
            assert [whole(one) for one in found] == [whole(one) for one in expected]
        else:
            assert all(one.prompt.latents == 0 for one in found)


def test_a_branch_does_not_disturb_the_others() -> None:
    made = answered("qwen3", "hidden", 0)
    branches = [Branch(row, place, made.fed[row, place] * 0) for row, place in places(made)]
    together = [one.response for one in made.follow(branches, decoding(0), [EOS])]
    assert together == [made.follow([one], decoding(0), [EOS])[0].response for one in branches]


def test_latents_of_parallel_sweeps_are_refused() -> None:
    model, fill = make_model("llama"), Fill(Hidden(kind="hidden", sweeps=2), LATENT)
    made = answers(model, prompts(3), fill, 3)
    with pytest.raises(UserError, match="sweeps"):
        Answered(model, made, fill, LATENT)
