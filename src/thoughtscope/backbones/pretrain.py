"""Pre-trains a tiny backbone on short texts, so that it knows their language before any method starts.

These models have no latents and fit in one process, so this is plain PyTorch. With the same seed, every family has the
same batches.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from thoughtscope.backbones.prompt import prompt_ids, response_ids
from thoughtscope.backbones.settings import Pretraining
from thoughtscope.errors import UserError
from thoughtscope.latents.forward import forward
from thoughtscope.latents.layout import TokenSequence, labelled_tokens, sequence
from thoughtscope.latents.packing import pack
from thoughtscope.latents.scoring import greedy_agrees, loss_sum

CHECK, TAIL = 50, 100  # updates between two calls of `learned`, and after it returned true


def pretrain(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Mapping[str, str]],
    settings: Pretraining,
    seed: int,
    log: Callable[[str], None],
    learned: Callable[[], bool] | None = None,
) -> list[dict[str, float]]:
    """Train `model` in place on question-response pairs, labels on the response; return its loss curve.

    Without `learned`, training takes `settings.updates` updates, and the learning rate decays to 0. With `learned`,
    that is the maximum: the rate is constant until `learned`, called every `CHECK` updates, returns true, and then
    decays to 0 over `TAIL` updates.

    Args:
        rows: the pairs, with keys `question` and `response`.
        seed: decides the order in which pairs are drawn.
        log: is called with lines of progress.
        learned: returns whether the model has learned enough.

    Raises:
        UserError: `rows` is empty.
    """
    if not rows:
        raise UserError("pretraining.tasks", "their pre-training texts are empty", "name a task that has some")
    texts = [_sequence(tokenizer, row, i) for i, row in enumerate(rows)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.01)
    warmup = max(1, round(settings.warmup * settings.updates))
    rng = random.Random(seed)
    model.train()
    curve = []
    update, end = -1, settings.updates
    fall = (settings.updates, 1) if learned else (warmup, max(1, settings.updates - warmup))  # first update, length
    while (update := update + 1) < end:
        left = 1 - max(0, update - fall[0]) / fall[1]
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * min(1.0, (update + 1) / warmup) * left
        chosen = rng.choices(texts, k=settings.batch_size)
        batch = pack(chosen, None, for_labels=True)
        loss = loss_sum(model, forward(model, batch, None), batch) / labelled_tokens(chosen)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if learned and end == settings.updates and (update + 1) % CHECK == 0 and _asked(learned, model):
            end, fall = min(end, update + 1 + TAIL), (update + 1, TAIL)
        if update % 50 == 0 or update == end - 1:
            curve.append({"step": update + 1, "loss": round(loss.item(), 6)})
            log(f"pre-training {update + 1}/{settings.updates}  loss {loss.item():.4f}")
    model.eval()
    return curve


def _asked(learned: Callable[[], bool], model: Any) -> bool:
    model.eval()
    found = learned()
    model.train()
    return found


def reasoning_accuracy(model: Any, tokenizer: Any, rows: Sequence[Mapping[str, str]], batch_size: int) -> float:
    """Return the share of `rows` (keys `question` and `response`) whose response greedy decoding reproduces exactly."""
    return sum(
        greedy_agrees(model, [_sequence(tokenizer, row, i) for i, row in enumerate(rows)], None, batch_size)
    ) / len(rows)


def _sequence(tokenizer: Any, row: Mapping[str, str], number: int) -> TokenSequence:
    prompt = prompt_ids(tokenizer, row["question"], True, {})
    return sequence(f"text-{number}", prompt, [*response_ids(tokenizer, row["response"]), tokenizer.eos_token_id])
