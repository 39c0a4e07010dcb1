"""CODI and PCCoT: their loss and gradients written out slowly, and the token at which they distil."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from tests.families import LATENT, VOCABULARY, WIDTH, make_model
from thoughtscope.backbones.prompt import decoded, response_ids
from thoughtscope.latents.fill import Fill
from thoughtscope.latents.layout import IGNORE
from thoughtscope.latents.packing import pack
from thoughtscope.methods import self_distillation
from thoughtscope.methods.curriculum import Example, TokenIds
from thoughtscope.methods.minibatch import Counts, Learner, MicroBatch, Row
from thoughtscope.reasoner import Prompting, cue_length, encode
from thoughtscope.tasks.reasoning import answer_text

START, END = 4, 5
IDS = TokenIds({self_distillation.START: START, self_distillation.LATENT: LATENT, self_distillation.END: END})


def examples(seed: int = 0, rows: int = 3) -> list[Example]:
    rng = random.Random(seed)

    def words(low: int, high: int) -> list[int]:
        return [rng.randrange(6, VOCABULARY) for _ in range(rng.randint(low, high))]

    made = []
    for i in range(rows):
        value = words(1, 3)
        steps = [words(2, 4) for _ in range(rng.randint(1, 3))]
        made.append(Example(str(i), words(2, 5), steps, [7, 8, *value, 3], cue=2))
    return made


def settings(**changes: Any) -> self_distillation.Settings:
    raw = {"kind": "self-distillation", "fill": {"kind": "hidden", "projector": {"inner": 16}}, "latents": 4}
    return self_distillation.Settings.model_validate({**raw, **changes})


def learner_of(method: self_distillation.Settings, family: str = "llama") -> Learner:
    model = make_model(family)
    torch.manual_seed(1)
    parameters = method.fill.parameters(WIDTH)
    return Learner(model, Fill(method.fill, LATENT, parameters.double() if parameters is not None else None))


def micro_batch(method: self_distillation.Settings, found: list[Example], counts: Counts | None = None) -> MicroBatch:
    stage = method.stages(3)[0]
    rows = [
        Row(one, method.layout(stage, one, IDS, random.Random(0), None), method.companions(stage, one, IDS))
        for one in found
    ]
    batch = pack([row.sequence for row in rows], method.fill, for_labels=True)
    return MicroBatch(rows, batch, counts or Counts.of(rows))


def states_of(model: Any, vectors: list[Tensor]) -> list[Tensor]:
    """Return the states of one row at every layer, ``[time, d]`` each; the last is after the norm."""
    out = model.get_decoder()(inputs_embeds=torch.stack(vectors)[None], use_cache=False, output_hidden_states=True)
    return [*(states[0] for states in out.hidden_states[:-1]), out.last_hidden_state[0]]


def slow_loss(method: self_distillation.Settings, learner: Learner, found: list[Example]) -> Tensor:
    """The published loss from its description: one example after another, each prefix recomputed, no cache."""
    model, embed = learner.model, learner.model.get_input_embeddings().weight
    project = learner.fill.parameters or (lambda state: state)  # type: ignore[union-attr]
    student_entropy, teacher_entropy = [], []
    at_student: list[list[Tensor]] = []
    at_teacher: list[list[Tensor]] = []
    for one in found:
        steps = one.steps if method.last_step else one.steps[:-1]
        value = len(one.answer) - one.cue
        text = [*one.prompt, *(token for step in steps for token in step), *one.answer]
        states = states_of(model, [embed[token] for token in text])
        scores = model.lm_head(states[-1])
        for t in range(len(one.prompt), len(text)):
            teacher_entropy.append(-scores[t - 1].log_softmax(-1)[text[t]])
        at_teacher.append([layer[len(text) - value - 1] for layer in states])
        question = [embed[token] for token in [*one.prompt, START]]
        if method.fill.sweeps is None:
            for _ in range(method.latents):
                question.append(project(states_of(model, question)[-1][-1]))
            thought = question
        else:
            guesses = [embed[LATENT]] * method.latents
            for _ in range(method.fill.sweeps):
                states = states_of(model, [*question, *guesses])
                before = states[-1][len(question) - 1 : -1]
                guesses = [project(state) for state in before]
            thought = [*question, *guesses]
        tail = [END, *one.answer]
        states = states_of(model, [*thought, *(embed[token] for token in tail)])
        scores = model.lm_head(states[-1])
        for t, token in enumerate(one.answer, start=len(thought) + 1):
            student_entropy.append(-scores[t - 1].log_softmax(-1)[token])
        at_student.append([layer[len(thought) + len(tail) - value - 1] for layer in states])
    first = 0 if method.distillation.embeddings else 1
    layers = range(first, len(at_student[0]))
    terms = []
    whole = torch.stack([torch.stack([one[layer] for one in at_teacher]) for layer in layers]).detach()
    for layer in layers:
        mine = torch.stack([one[layer] for one in at_student])
        other = torch.stack([one[layer] for one in at_teacher]).detach()
        difference = (mine - other).abs()
        smooth = torch.where(difference < 1, difference**2 / 2, difference - 0.5).mean()
        spread = other if method.distillation.scale == "layer" else whole
        terms.append(smooth / ((spread - spread.mean()) ** 2).sum().div(spread.numel() - 1).sqrt())
    distance = sum(terms) / len(terms)
    mean = torch.stack(student_entropy).mean() + method.teacher_weight * torch.stack(teacher_entropy).mean()
    return mean + method.distillation.weight * distance  # type: ignore[no-any-return]


VARIANTS: dict[str, dict[str, Any]] = {
    "CODI": {"teacher_weight": 0.7, "distillation": {"weight": 20}},
    "CODI without a projector": {"fill": {"kind": "hidden"}},
    "PCCoT": {
        "fill": {"kind": "hidden", "sweeps": 2, "projector": {"inner": 16}}, "last_step": True,
        "distillation": {"embeddings": False, "weight": 3},
    },
    "PCCoT, one standard deviation": {
        "fill": {"kind": "hidden", "sweeps": 3, "projector": {"inner": 16, "norm": False}}, "last_step": True,
        "distillation": {"embeddings": False, "scale": "all", "weight": 3},
    },
}  # fmt: skip


@pytest.mark.parametrize("family", ["llama", "gemma3_text"])
@pytest.mark.parametrize("name", VARIANTS)
def test_loss_and_gradients_are_those_of_the_definition(name: str, family: str) -> None:
    method, found = settings(**VARIANTS[name]), examples()
    learner = learner_of(method, family)
    parameters = [*learner.model.parameters()]
    if learner.fill.parameters is not None:  # type: ignore[union-attr]
        parameters += learner.fill.parameters.parameters()  # type: ignore[union-attr]
    if family == "gemma3_text":  # its embedding module scales; the slow loss reads the table
        table = learner.model.get_input_embeddings()
        table.embed_scale = torch.ones((), dtype=torch.float64)
    ours, slow = method.loss(learner, micro_batch(method, found)), slow_loss(method, learner, found)
    assert ours.item() == pytest.approx(slow.item(), rel=1e-9)
    mine, theirs = (torch.autograd.grad(loss, parameters, allow_unused=True) for loss in (ours, slow))
    for one, other in zip(mine, theirs, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert torch.allclose(one, other, rtol=1e-7, atol=1e-9 * float(other.abs().max()))


def test_shares_of_micro_batches_add_up_to_the_loss_of_the_batch() -> None:
    method, found = settings(distillation={"weight": 0.0}), examples(rows=5)
    learner, whole = learner_of(method), micro_batch(settings(), found)
    parts = [micro_batch(method, part, whole.counts) for part in (found[:2], found[2:])]
    together = torch.stack([method.loss(learner, one) for one in parts]).sum()
    assert together.item() == pytest.approx(method.loss(learner, whole).item(), rel=1e-12)


def test_distillation_leaves_the_teacher_alone() -> None:
    torch.manual_seed(0)
    student, teacher = (torch.randn(3, 2, 5, requires_grad=True) for _ in range(2))
    self_distillation.distillation(student, teacher, "layer").backward()
    assert student.grad is not None
    assert teacher.grad is None


def test_the_teacher_sees_all_steps_but_the_last_in_words_and_the_student_none() -> None:
    one = Example("e", [1, 2], [[10, 11], [12, 11], [13, 11]], [14, 15, 3], cue=1)
    method = settings(latents=2)
    stage = method.stages(3)[0]
    teacher = method.companions(stage, one, IDS)["teacher"][0]
    assert teacher.token_ids == (1, 2, 10, 11, 12, 11, 14, 15, 3)
    assert teacher.labels == (IGNORE, IGNORE, *teacher.token_ids[2:])
    student = method.layout(stage, one, IDS, random.Random(0), None)
    assert student.token_ids == (1, 2, START, LATENT, LATENT, END, 14, 15, 3)
    assert student.labels == (IGNORE,) * 6 + (14, 15, 3)
    assert settings(last_step=True).companions(stage, one, IDS)["teacher"][0].token_ids[-5:] == (13, 11, 14, 15, 3)
    assert method.prompt(stage, one, IDS).token_ids == student.token_ids[:6]
    bare = Example("b", [1, 2], [], [14, 15, 3], cue=1)
    assert method.companions(stage, bare, IDS)["teacher"][0].token_ids == (1, 2, 14, 15, 3), "a row without steps"


WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
# How published tokenizers cut text: with a number goes its space (GPT-2), or numbers of up to three digits (Llama 3) or
# single digits (Qwen) are tokens of their own, and the space before them is one too.
CUTS = {"gpt2": None, "llama3": WORDS % r"\p{N}{1,3}", "qwen": WORDS % r"\p{N}"}


def byte_level(pattern: str | None) -> Any:
    tokenizer = Tokenizer(models.BPE())
    if pattern is None:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        cut = pre_tokenizers.Split(Regex(pattern), "isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["</s>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(
        [" #### 12", " #### 7", " #### 120", " 12 ; 7", " #### yes", " #### -12"] * 4, trainer
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")


@pytest.mark.parametrize(
    ("kind", "answer", "before", "value"),
    [
        ("gpt2", "12", ["Ġ####"], "Ġ12"),
        ("llama3", "12", ["Ġ####", "Ġ"], "12"),
        ("qwen", "12", ["Ġ####", "Ġ"], "1"),
        ("gpt2", "-12", ["Ġ####"], "Ġ-"),
        ("llama3", "-12", ["Ġ####"], "Ġ-"),
        ("llama3", "yes", ["Ġ####"], "Ġyes"),
    ],
)
def test_the_token_before_the_answer_is_found_wherever_a_tokenizer_puts_the_space(
    kind: str, answer: str, before: list[str], value: str
) -> None:
    tokenizer = byte_level(CUTS[kind])
    row = {
        "example_id": "e",
        "question": "q",
        "steps": ["7"],
        "answer": answer,
        "answer_format": "text",
        "split": "train",
    }
    one = encode(tokenizer, Prompting(chat=False), row)
    pieces = tokenizer.convert_ids_to_tokens(one.answer)
    assert pieces[: one.cue] == before
    assert pieces[one.cue].startswith(value)
    method = settings()
    micro = micro_batch(method, [one])
    taught = Learner(make_model("llama")).pack(micro.companions("teacher")[1])
    for batch in (micro.batch, taught):
        token = self_distillation._before_the_value(micro, batch)
        assert tokenizer.convert_ids_to_tokens(batch.token_ids[token].tolist()) == [before[-1]]


def test_a_value_that_looks_like_the_mark_is_still_told_from_it() -> None:
    tokenizer = byte_level(CUTS["qwen"])
    ids = response_ids(tokenizer, answer_text("#5"))
    length = cue_length(tokenizer, ids)
    assert decoded(tokenizer, ids[:length]).strip() == "####"
    assert decoded(tokenizer, ids[length:]).strip() == "#5"
