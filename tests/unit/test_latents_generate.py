"""Batched, cached generation with latents gives each row what it would get alone, without any cache."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.families import EOS, FAMILIES, LATENT, VOCABULARY, make_model
from tests.unit.test_latents_forward import naive_states
from thoughtscope.errors import UserError
from thoughtscope.latents.fill import Fill
from thoughtscope.latents.fills.base import BaseFill
from thoughtscope.latents.fills.fusion import Settings as Fusion
from thoughtscope.latents.fills.hidden import Settings as Hidden
from thoughtscope.latents.fills.pause import Settings as Pause
from thoughtscope.latents.generate import Decoding, Generation, generate, loops
from thoughtscope.latents.layout import TokenSequence, sequence, with_latents

FILLS: dict[str, BaseFill] = {"hidden": Hidden(kind="hidden"), "fusion": Fusion(kind="fusion", layer=2)}


def prompts(rows: int = 6, seed: int = 0, forced: int = 0) -> list[TokenSequence]:
    rng = random.Random(seed)
    made = []
    for i in range(rows):
        text = [rng.randrange(4, VOCABULARY) for _ in range(rng.randint(1, 7))]
        made.append(sequence(str(i), text, [LATENT] * forced, is_latent=[True] * forced, labelled=[False] * forced))
    return made


def fond_of(token: int, family: str) -> Any:
    """A model that prefers `token` wherever it would have chosen its favourite: so `token` occurs, but not always."""
    model = make_model(family)
    chosen = [t for one in run(model, prompts(rows=12), None, max_latents=0) for t in one.response]
    favourite = max(set(chosen) - {token}, key=chosen.count)
    with torch.no_grad():
        model.lm_head.weight[token] = model.lm_head.weight[favourite] * 1.05
    return model


def run(model: Any, rows: list[TokenSequence], fill: Fill | None, **settings: Any) -> list[Generation]:
    decoding = Decoding(**{"max_new_tokens": 10, "max_latents": 5, **settings})
    return generate(model, rows, fill, decoding, latent_id=LATENT, eos_ids=[EOS])


def naive(model: Any, prompt: TokenSequence, fill: Fill, most_text: int, most_latents: int, in_a_row: int) -> list[int]:
    """Generate greedily, the whole sequence recomputed for every token."""
    response: list[int] = []
    while len(response) - response.count(LATENT) < most_text:
        one = TokenSequence(
            "x",
            (*prompt.token_ids, *response),
            (*prompt.is_latent, *(token == LATENT for token in response)),
            (-100,) * (len(prompt.token_ids) + len(response)),
            prompt.prompt_length,
        )
        scores = model.lm_head(naive_states(model, one, fill))[-1]
        run_length = next((i for i, token in enumerate(reversed(response)) if token != LATENT), len(response))
        if response.count(LATENT) >= most_latents or run_length >= in_a_row:
            scores[LATENT] = -torch.inf
        token = int(scores.argmax())
        if token == EOS:
            break
        response.append(token)
    return response


@pytest.mark.parametrize("name", FILLS)
@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_batched_generation_equals_one_by_one_without_a_cache(family: str, name: str) -> None:
    model, fill = fond_of(LATENT, family), Fill(FILLS[name], LATENT)
    rows = prompts()
    together = run(model, rows, fill, max_latents_in_a_row=2)
    assert any(one.latents for one in together), "the test must see latents"
    for prompt, found in zip(rows, together, strict=True):
        assert found.response == naive(model, prompt, fill, 10, 5, 2)


@torch.no_grad()
def test_forced_latents_are_filled_before_text_follows() -> None:
    model, fill = make_model("qwen3"), Fill(FILLS["hidden"], LATENT)
    rows = prompts(forced=3)
    for prompt, found in zip(rows, run(model, rows, fill, max_latents=0), strict=True):
        assert found.response == naive(model, prompt, fill, 10, 0, 4)
        assert found.sequence(LATENT).latents == 3


def test_the_batch_size_changes_nothing_also_when_sampling() -> None:
    model, fill = fond_of(LATENT, "llama"), Fill(FILLS["hidden"], LATENT)
    rows = prompts(rows=7)
    settings: dict[str, Any] = {"temperature": 1.0, "top_p": 0.9, "seed": 5}
    whole = [one.response for one in run(model, rows, fill, batch_size=7, **settings)]
    assert whole == [one.response for one in run(model, rows, fill, batch_size=2, **settings)]
    assert whole == [run(model, [row], fill, **settings)[0].response for row in rows]
    assert whole != [one.response for one in run(model, rows, fill, **{**settings, "seed": 6})]


def test_latents_are_capped_in_all_and_in_a_row_and_can_be_banned() -> None:
    model, fill = fond_of(LATENT, "qwen3"), Fill(FILLS["hidden"], LATENT)
    rows = prompts(rows=12)
    free = run(model, rows, fill, max_latents=3, max_latents_in_a_row=2)
    assert max(one.latents for one in free) == 3
    for one in free:
        assert one.latents == one.response.count(LATENT) <= 3
        assert all(one.response[i : i + 3] != [LATENT] * 3 for i in range(len(one.response)))
    assert all(LATENT not in one.response for one in run(model, rows, fill, max_latents=0))


def test_a_row_that_repeats_itself_is_stopped_as_a_loop() -> None:
    model = make_model("llama")
    with torch.no_grad():
        model.lm_head.weight.zero_()  # all scores tie: always the same token
    found = run(model, prompts(rows=2), None, max_new_tokens=60, loop_tokens=5, loop_repeats=2, max_latents=0)
    assert [one.stopped for one in found] == ["loop", "loop"]
    assert all(len(one.response) == 5 for one in found)
    free = run(model, prompts(rows=2), None, max_new_tokens=60, max_latents=0)
    assert [(one.stopped, len(one.response)) for one in free] == [("length", 60)] * 2


RIGHT = {
    "ten factors": "2*" * 9 + "2=1024",
    "thirty factors": "2*" * 29 + "2=1073741824",
    "ten zeros": "#### 10000000000",
    "a googol": "#### 1" + "0" * 100,
    "a third": "#### 0." + "3" * 50,
    "a seventh": "#### 0." + "142857" * 15,
    "alternating": "#### " + "10" * 40,
    "ones": "1+" * 40 + "1=41",
    "equal steps": "2+2=4;" * 12 + "#### 4",
    "one word again and again": "ha " * 30 + "#### 0",
}


@pytest.mark.parametrize("response", RIGHT.values(), ids=RIGHT)
def test_no_correct_answer_counts_as_a_loop(response: str) -> None:
    """One token for each character, as Qwen and Gemma write digits; cut nowhere on the way."""
    tokens, default = [ord(one) for one in response], Decoding()
    ends = (tokens[:end] for end in range(1, len(tokens) + 1))
    assert not any(loops(part, default.loop_tokens, default.loop_repeats) for part in ends)


@pytest.mark.parametrize("piece", ["0", "2*", "142857", "So it is. "])
def test_a_piece_of_any_length_that_goes_on_and_on_is_a_loop(piece: str) -> None:
    default = Decoding()
    tokens = [ord(one) for one in "#### 1" + piece * 200]
    first = next(end for end in range(len(tokens)) if loops(tokens[:end], default.loop_tokens, default.loop_repeats))
    needed = len(piece) * max(default.loop_repeats, -(-default.loop_tokens // len(piece)))
    assert first == 6 + needed


@given(st.lists(st.integers(0, 2), max_size=40), st.integers(1, 12), st.integers(2, 5))
def test_a_loop_is_what_its_definition_says(response: list[int], tokens: int, repeats: int) -> None:
    def ends_in(period: int) -> bool:
        piece, times = response[-period:], 0
        while response[: len(response) - times * period][-period:] == piece:
            times += 1
        return times >= repeats and times * period >= tokens

    assert loops(response, tokens, repeats) == any(ends_in(period) for period in range(1, len(response) + 1))


def test_serial_passes_count_the_prompts_own_and_one_for_each_further_position() -> None:
    model = fond_of(LATENT, "qwen3")
    for fill, forced, passes in (
        (Pause(kind="pause"), 3, 1),
        (FILLS["hidden"], 3, 4),
        (Hidden(kind="hidden", sweeps=2), 3, 3),
        (FILLS["hidden"], 0, 1),
    ):
        rows = prompts(rows=8, forced=forced)
        alone = [run(model, [row], Fill(fill, LATENT))[0] for row in rows]
        for one in alone:
            assert one.passes == passes + len(one.response) - (one.stopped != "eos")
        together = run(model, rows, Fill(fill, LATENT))
        assert [one.passes for one in together] == [one.passes for one in alone]


def test_rows_end_at_eos_and_leave_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fond_of(EOS, "llama")
    widths = []
    decoder = model.get_decoder()
    original = decoder.forward
    monkeypatch.setattr(decoder, "forward", lambda **k: (widths.append(len(k["inputs_embeds"])), original(**k))[1])
    found = run(model, prompts(rows=10, seed=3), None, max_latents=0)
    ended = [one for one in found if one.stopped == "eos"]
    assert 0 < len(ended) < 10, "the test must see both"
    assert all(EOS not in one.response for one in found)
    steps = widths[1:]  # the prompts come first, packed into one row
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] < steps[0]


def test_a_prompt_gets_another_number_of_latents_where_its_own_stand() -> None:
    one = sequence("a", [5, 6], [7, 3, 3, 8], is_latent=[False, True, True, False], labelled=[False] * 4)
    assert with_latents(one, 2) == one
    more, none = with_latents(one, 4), with_latents(one, 0)
    assert more.token_ids == (5, 6, 7, 3, 3, 3, 3, 8)
    assert (more.latents, more.prompt_length, more.is_latent[-1]) == (4, 2, False)
    assert (none.token_ids, none.latents) == ((5, 6, 7, 8), 0)
    apart = sequence("b", [5], [3, 6, 3], is_latent=[True, False, True])
    for refused in (none, apart):
        with pytest.raises(UserError, match="its latents are not one block"):
            with_latents(refused, 1)
