"""Soft Thinking, written out slowly: what is fed, when thinking ends, and a run that measures without training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.families import EOS, LATENT, VOCABULARY, make_model
from tests.unit.test_latents_generate import prompts
from thoughtscope.latents.fill import Fill
from thoughtscope.latents.fills.soft import Settings as Soft
from thoughtscope.latents.generate import Decoding, Generation, generate
from thoughtscope.latents.head import likely
from thoughtscope.latents.layout import TokenSequence
from thoughtscope.latents.thinking import Thinking


def kept_by_hand(scores: list[float], temperature: float, top_k: int | None, top_p: float, min_p: float) -> list[float]:
    """Return the distribution of soft tokens over scores of text tokens, from its description."""
    weights = torch.tensor(scores, dtype=torch.float64).div(temperature).softmax(0).tolist()
    order = sorted(range(len(weights)), key=lambda i: -weights[i])[:top_k]
    mass, total, kept = 0.0, sum(weights[i] for i in order), []
    for i in order:
        if mass / total < top_p:
            kept.append(i)
        mass += weights[i]
    kept = [i for i in kept if weights[i] >= min_p * weights[order[0]]]
    return [weights[i] / sum(weights[k] for k in kept) if i in kept else 0.0 for i in range(len(weights))]


SETTINGS: list[dict[str, Any]] = [
    {"temperature": 0.6, "top_k": 5, "top_p": 0.95},
    {"temperature": 1.3, "top_k": None, "top_p": 0.7},
    {"temperature": 1.0, "top_k": None, "min_p": 0.5},
    {"temperature": 2.0, "top_k": 4, "top_p": 0.9, "min_p": 0.3},
]


@pytest.mark.parametrize("raw", SETTINGS)
def test_the_kept_tokens_are_those_of_the_definition(raw: dict[str, Any]) -> None:
    torch.manual_seed(0)
    scores = torch.randn(6, 12, dtype=torch.float64) * 2
    made = {"top_p": 1.0, "min_p": 0.0, **raw}
    found = likely((scores / made["temperature"]).softmax(-1), made["top_k"], made["top_p"], made["min_p"])
    expected = torch.tensor([kept_by_hand(row, **made) for row in scores.tolist()], dtype=torch.float64)
    assert torch.allclose(found, expected, atol=1e-6)
    assert (found > 0).sum(1).float().mean() > 1


def respond(model: Any, rows: list[TokenSequence], settings: Soft, rule: Thinking, **decoding: Any) -> list[Generation]:
    asked = Decoding(**{"max_new_tokens": 6, "max_latents": 5, **decoding})
    fill = Fill(settings, LATENT)
    return generate(model, rows, fill, asked, latent_id=LATENT, eos_ids=[EOS], thinking=rule)


def slow_response(
    model: Any, prompt: TokenSequence, settings: Soft, rule: Thinking, most: int, words: int
) -> list[int]:
    """Think, then answer: every position recomputed from the start."""
    embed, text = model.get_input_embeddings().weight, [t for t in range(VOCABULARY) if t != LATENT]
    vectors: list[Tensor] = [embed[token] for token in prompt.token_ids]

    def scores() -> Tensor:
        out = model.get_decoder()(inputs_embeds=torch.stack(vectors)[None], use_cache=False).last_hidden_state[0, -1]
        return model.lm_head(out)[text]  # type: ignore[no-any-return]

    response: list[int] = []
    sure = 0
    while True:
        now = scores()
        weights = now.softmax(0)
        sure = sure + 1 if rule.entropy and -(weights * weights.log()).sum() < rule.entropy else 0
        best = text[int(now.argmax())]
        if best in (rule.end[0], EOS) or len(response) == most or (rule.entropy and sure >= rule.steps):
            break
        kept = kept_by_hand(now.tolist(), settings.temperature, settings.top_k, settings.top_p, settings.min_p)
        vectors.append(sum((w * embed[t] for w, t in zip(kept, text, strict=True)), torch.zeros_like(embed[0])))
        response.append(LATENT)
    for token in rule.end:
        vectors.append(embed[token])
        response.append(token)
    while len([t for t in response if t != LATENT]) < words:
        token = text[int(scores().argmax())]
        if token == EOS:
            break
        vectors.append(embed[token])
        response.append(token)
    return response


@pytest.mark.parametrize(
    "rule", [Thinking((9, 10), None, 1), Thinking((7,), 3.2, 2), Thinking((7,), 99.0, 3)], ids=["mark", "cold", "soon"]
)
@pytest.mark.parametrize("family", ["llama", "qwen3"])
@torch.no_grad()
def test_a_response_thinks_in_mixtures_until_its_end_and_then_answers(family: str, rule: Thinking) -> None:
    model, settings = make_model(family), Soft(kind="soft", temperature=0.6, top_k=8, top_p=0.95)
    rows = prompts(rows=8)
    found = respond(model, rows, settings, rule)
    for prompt, one in zip(rows, found, strict=True):
        assert one.response == slow_response(model, prompt, settings, rule, 5, 6)
        assert one.latents == one.response.count(LATENT)
    if rule.entropy == 99.0:
        assert {one.latents for one in found if one.latents < 5} <= {0, 1, 2}
        assert any(one.latents == 2 for one in found), "the third position in a row ends it"
    else:
        assert any(one.latents == 5 for one in found), "as many as a response may have"


@torch.no_grad()
def test_a_mark_that_the_model_expects_ends_thinking() -> None:
    model, settings = make_model("llama"), Soft(kind="soft")
    rows = prompts(rows=12)
    free = respond(model, rows, settings, Thinking((9,), None, 1))
    spoken = [one.response[one.latents + 1] for one in free]
    mark = max(set(spoken), key=spoken.count)
    ended = respond(model, rows, settings, Thinking((mark, 11), None, 1))
    assert any(one.latents < 5 for one in ended)
    for one in ended:
        assert one.response[one.latents : one.latents + 2] == [mark, 11]
        assert LATENT not in one.response[one.latents :], "text follows to the end"


@torch.no_grad()
def test_the_batch_changes_nothing() -> None:
    model, settings, rule = make_model("qwen3"), Soft(kind="soft", top_k=4), Thinking((9,), 3.2, 2)
    rows = prompts(rows=7)
    whole = [one.response for one in respond(model, rows, settings, rule)]
    assert whole == [one.response for one in respond(model, rows, settings, rule, batch_size=2)]
