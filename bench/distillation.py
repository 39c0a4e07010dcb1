"""Measures a training step of CODI against its two parts, run alone; prints Markdown.

.venv/bin/python bench/distillation.py [--rounds 7]

One process, one thread, random Llama shapes. The parts: a plain fine-tuning step on the teacher's tokens (with the loss
of Transformers), and a latent step on the student's. In every round each contender runs once, one after another; a
ratio is the median of the rounds' ratios. A step is forward and backward, without the optimiser's update.
"""

from __future__ import annotations

import argparse
import itertools
import random
from functools import partial
from statistics import median

import pandas as pd
import torch
from latents import LATENT, SHAPES, VOCABULARY, llama, our_step, their_step, times
from peers import plain_step

from thoughtscope.latents.fill import Fill
from thoughtscope.latents.packing import pack
from thoughtscope.methods import self_distillation
from thoughtscope.methods.curriculum import Example, TokenIds
from thoughtscope.methods.minibatch import Counts, Learner, MicroBatch, Row

IDS = TokenIds({self_distillation.START: 3, self_distillation.LATENT: LATENT, self_distillation.END: 4})


def examples(rows: int, prompt: int, step: int, seed: int = 0) -> list[Example]:
    """Return questions with four steps of equal length and an answer of six tokens."""
    rng = random.Random(seed)

    def text(length: int) -> list[int]:
        return [rng.randrange(5, VOCABULARY) for _ in range(length)]

    return [Example(str(i), text(prompt), [text(step) for _ in range(4)], text(6), cue=3) for i in range(rows)]


def codi_step(learner: Learner, method: self_distillation.Settings, rows: list[Row]) -> None:
    """Do one training step of CODI, the layout of both batches included."""
    learner.model.zero_grad()
    batch = pack([row.sequence for row in rows], method.fill, for_labels=True)
    method.loss(learner, MicroBatch(rows, batch, Counts.of(rows))).backward()


def measured(rounds: int) -> pd.DataFrame:
    """Return CODI's step by the sum of its parts, for all shapes."""
    found = []
    for (shape, size), batch, prompt, step in itertools.product(SHAPES.items(), (32, 128), (16, 64), (8, 24)):
        raw = {"kind": "self-distillation", "latents": 6, "fill": {"kind": "hidden", "projector": {"inner": size[1]}}}
        method = self_distillation.Settings.model_validate(raw)
        model = llama(*size)
        learner = Learner(model, Fill(method.fill, LATENT, method.fill.parameters(size[1])))
        stage, rng = method.stages(4)[0], random.Random(0)
        rows = [
            Row(one, method.layout(stage, one, IDS, rng, None), method.companions(stage, one, IDS))
            for one in examples(batch, prompt, step)
        ]
        taught = [row.companions[self_distillation.TEACHER][0] for row in rows]
        seconds = times(
            rounds,
            {
                "teacher": partial(their_step, plain_step, model, taught),
                "student": partial(our_step, model, learner.fill, [row.sequence for row in rows]),
                "codi": partial(codi_step, learner, method, rows),
            },
        )
        sums = [a + b for a, b in zip(seconds["teacher"], seconds["student"], strict=True)]
        found.append(
            {
                "shape": shape, "batch": batch, "prompt": prompt, "tokens a step": step,
                "teacher ms": 1e3 * median(seconds["teacher"]), "student ms": 1e3 * median(seconds["student"]),
                "CODI by both": median(a / b for a, b in zip(seconds["codi"], sums, strict=True)),
            }
        )  # fmt: skip
    return pd.DataFrame(found)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    torch.set_num_threads(1)
    print(measured(parser.parse_args().rounds).to_markdown(index=False, floatfmt=".2f"))


if __name__ == "__main__":
    main()
