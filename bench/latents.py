"""Measures the latent engine against plain fine-tuning and against what the peers do; prints Markdown.

.venv/bin/python bench/latents.py [--rounds 5] [--only training,floor,sweeps,peers,interleaved,generation]

One process, one thread, random Llama shapes. In every round each contender runs once, one after another; a ratio is
the median of the rounds' ratios, so that a busy machine slows all of them alike. A step is forward and backward,
without the optimiser's update, which is the same for all.
"""

from __future__ import annotations

import argparse
import itertools
import random
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import pandas as pd
import torch
from peers import LeftPadded, column_by_column, distinct_columns, one_by_one, plain_step
from transformers import AutoModelForCausalLM, GenerationConfig, LlamaConfig

from thoughtscope.latents.fill import Fill
from thoughtscope.latents.fills.hidden import Settings as Hidden
from thoughtscope.latents.forward import forward
from thoughtscope.latents.generate import Decoding, generate
from thoughtscope.latents.layout import TokenSequence, sequence
from thoughtscope.latents.packing import pack
from thoughtscope.latents.scoring import loss_sum

VOCABULARY, PAD, EOS, LATENT = 512, 0, 1, 2
SHAPES = {"2 x 64": (2, 64), "4 x 256": (4, 256)}


def llama(layers: int, width: int) -> Any:
    """Return a random Llama with four heads."""
    config = LlamaConfig(
        num_hidden_layers=layers,
        hidden_size=width,
        intermediate_size=width * 4,
        num_attention_heads=4,
        num_key_value_heads=4,
        vocab_size=VOCABULARY,
        max_position_embeddings=512,
        pad_token_id=PAD,
        eos_token_id=EOS,
        bos_token_id=None,
    )
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config)


def hidden_fill(width: int) -> Fill:
    """Return Coconut's fill."""
    return Fill(Hidden(kind="hidden"), LATENT)


def block(rows: int, prefix: int, latents: int, suffix: int) -> list[TokenSequence]:
    """Return rows of one prompt, `latents` latents in a block, and a labelled text."""
    rng = random.Random(0)
    return [
        sequence(
            str(i),
            _text(rng, prefix),
            [LATENT] * latents + _text(rng, suffix),
            is_latent=[True] * latents + [False] * suffix,
            labelled=[False] * latents + [True] * suffix,
        )
        for i in range(rows)
    ]


def scattered(rows: int, prefix: int, latents: int, suffix: int) -> list[TokenSequence]:
    """Return rows whose latents stand at random places of the response."""
    rng = random.Random(0)
    made = []
    for i in range(rows):
        places = set(rng.sample(range(suffix + latents), latents))
        text = _text(rng, suffix + latents)
        response = [LATENT if t in places else token for t, token in enumerate(text)]
        is_latent = [t in places for t in range(len(text))]
        made.append(sequence(str(i), _text(rng, prefix), response, is_latent=is_latent))
    return made


def _text(rng: random.Random, length: int) -> list[int]:
    return [rng.randrange(3, VOCABULARY) for _ in range(length)]


def times(rounds: int, contenders: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
    """Return the seconds of each contender in each round, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for counted in range(-1, rounds):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            if counted >= 0:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(seconds: dict[str, list[float]], one: str, other: str) -> float:
    """Return the median over the rounds of one's seconds by the other's."""
    return median(a / b for a, b in zip(seconds[one], seconds[other], strict=True))


def our_step(model: Any, fill: Fill, rows: list[TokenSequence]) -> None:
    """Do one training step, the batch's layout included."""
    model.zero_grad()
    batch = pack(rows, fill.settings, for_labels=True)
    loss_sum(model, forward(model, batch, fill), batch).div(len(rows)).backward()


def their_step(step: Callable[[Any, LeftPadded], torch.Tensor], model: Any, rows: list[TokenSequence]) -> None:
    """Do one training step of a peer, the batch's layout included."""
    model.zero_grad()
    step(model, LeftPadded(rows, PAD)).backward()


def training(rounds: int) -> pd.DataFrame:
    """Return our step by a plain one over the same number of real tokens, for all shapes."""
    rows = []
    for (shape, size), prefix, suffix, batch, latents in itertools.product(
        SHAPES.items(), (16, 64), (6, 32), (32, 128), (0, 3, 6)
    ):
        model, fill = llama(*size), hidden_fill(size[1])
        laid = block(batch, prefix, latents, suffix)
        seconds = times(
            rounds,
            {"plain": partial(their_step, plain_step, model, laid), "ours": partial(our_step, model, fill, laid)},
        )
        rows.append(
            {
                "shape": shape, "batch": batch, "prefix": prefix, "suffix": suffix, "latents": latents,
                "plain ms": 1e3 * median(seconds["plain"]), "by plain": ratio(seconds, "ours", "plain"),
            }
        )  # fmt: skip
    table = pd.DataFrame(rows)
    keys = ["shape", "batch", "prefix", "suffix"]
    plain = table[table["latents"] == 0].set_index(keys)["plain ms"].rename("plain step, ms")
    wide = table.pivot_table("by plain", keys, "latents").join(plain).reset_index()
    return wide.rename(columns={0: "0 latents", 3: "3 latents", 6: "6 latents"})


def floor(rounds: int) -> pd.DataFrame:
    """Return the bare matrix products of our passes by those of a plain step, 6 latents, batch 32: what stays."""
    rows = []
    for (shape, (layers, width)), prefix, suffix in itertools.product(SHAPES.items(), (16, 64), (6, 32)):
        inner = [(width, width)] * 4 + [(4 * width, width)] * 2 + [(width, 4 * width)]
        weights = [torch.randn(size) for _ in range(layers) for size in inner]
        passes = [32 * prefix, *[32] * 5, 32 * (suffix + 1)]
        seconds = times(
            rounds,
            {"plain": partial(_products, weights, [sum(passes)]), "passes": partial(_products, weights, passes)},
        )
        rows.append({"shape": shape, "prefix": prefix, "suffix": suffix, "by plain": ratio(seconds, "passes", "plain")})
    return pd.DataFrame(rows)


def _products(weights: list[torch.Tensor], passes: list[int]) -> None:
    """Do the matrix products of a forward and backward over passes of so many tokens, and add up the gradients."""
    gradients = [torch.zeros_like(weight) for weight in weights]
    for tokens in passes:
        for weight in weights:
            torch.randn(1).expand(tokens, weight.shape[1]).contiguous() @ weight.t()
    for tokens in reversed(passes):
        for weight, gradient in zip(reversed(weights), reversed(gradients), strict=True):
            x, g = weight.new_ones(tokens, weight.shape[1]), weight.new_ones(tokens, weight.shape[0])
            _ = g @ weight
            gradient.add_(g.t() @ x)


def sweeps(rounds: int) -> pd.DataFrame:
    """Return the time of a step with 6 latents in Jacobi sweeps by that of one with them one by one, batch 32."""
    rows = []
    for (shape, size), prefix in itertools.product(SHAPES.items(), (16, 64)):
        model, laid = llama(*size), block(32, prefix, 6, 6)
        contenders = {count: Fill(Hidden(kind="hidden", sweeps=count), LATENT) for count in (1, 2, 3, None)}
        seconds = times(rounds, {str(k): partial(our_step, model, fill, laid) for k, fill in contenders.items()})
        row = {f"{k} sweeps": ratio(seconds, str(k), "None") for k in (1, 2, 3)}
        rows.append({"shape": shape, "prefix": prefix, **row})
    return pd.DataFrame(rows)


def peers(rounds: int) -> pd.DataFrame:
    """Return how many times as long a step of the column-by-column implementation takes, 6 latents in a block."""
    rows = []
    for shape, batch in (("4 x 256", 32), ("4 x 256", 128), ("2 x 64", 32), ("2 x 64", 128)):
        model, fill = llama(*SHAPES[shape]), hidden_fill(SHAPES[shape][1])
        laid = block(batch, 16, 6, 6)
        seconds = times(
            rounds,
            {
                "ours": partial(our_step, model, fill, laid),
                "python": partial(their_step, column_by_column, model, laid),
            },
        )
        rows.append({"shape": shape, "batch": batch, "times as fast": ratio(seconds, "python", "ours")})
    return pd.DataFrame(rows)


def interleaved(rounds: int) -> pd.DataFrame:
    """Return how many times as long one pass for each distinct column takes, 6 latents a row at random places."""
    rows = []
    for (shape, size), suffix in itertools.product(SHAPES.items(), (16, 32)):
        model, fill = llama(*size), hidden_fill(size[1])
        laid = scattered(32, 16, 6, suffix)
        batch, padded = pack(laid, fill.settings, for_labels=True), LeftPadded(laid, PAD)
        seconds = times(
            rounds,
            {
                "ours": partial(our_step, model, fill, laid),
                "distinct": partial(their_step, distinct_columns, model, laid),
                "python": partial(their_step, column_by_column, model, laid),
            },
        )
        rows.append(
            {
                "shape": shape, "suffix": suffix, "passes": len(batch.passes),
                "their passes": 1 + len(padded.latent_columns()),
                "real columns": batch.real_tokens / (batch.real_tokens + batch.padding),
                "times as fast": ratio(seconds, "distinct", "ours"),
                "with their filling": ratio(seconds, "python", "ours"),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def generation(rounds: int) -> pd.DataFrame:
    """Return examples a second, 6 latents and 16 tokens, against one by one and against Transformers' own."""
    rows = []
    for shape, size in SHAPES.items():
        model, fill = llama(*size).eval(), hidden_fill(size[1])
        prompts = [_prompt(one) for one in block(64, 16, 6, 1)]
        decoding = Decoding(max_new_tokens=16, max_latents=0)
        plain = torch.tensor([one.token_ids[:16] for one in prompts])
        config = GenerationConfig(max_new_tokens=22, min_new_tokens=22, do_sample=False, pad_token_id=PAD)
        seconds = times(
            rounds,
            {
                "ours": partial(generate, model, prompts, fill, decoding, latent_id=LATENT, eos_ids=[-1]),
                "transformers": partial(
                    model.generate, plain, attention_mask=torch.ones_like(plain), generation_config=config
                ),
                "one by one": partial(_each, model, prompts[:4]),
            },
        )
        rows.append(
            {
                "shape": shape,
                "examples/s": 64 / median(seconds["ours"]),
                "by one by one": ratio(seconds, "one by one", "ours") * 16,
                "by Transformers": ratio(seconds, "transformers", "ours"),
            }
        )
    return pd.DataFrame(rows)


def _each(model: Any, prompts: list[TokenSequence]) -> None:
    for one in prompts:
        one_by_one(model, one, 16)


def _prompt(one: TokenSequence) -> TokenSequence:
    return TokenSequence(one.example_id, one.token_ids[:-1], one.is_latent[:-1], one.labels[:-1], one.prompt_length)


PARTS = {
    "training": training,
    "floor": floor,
    "sweeps": sweeps,
    "peers": peers,
    "interleaved": interleaved,
    "generation": generation,
}


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(PARTS))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for name in asked.only.split(","):
        print(f"\n{PARTS[name].__doc__}\n\n{PARTS[name](asked.rounds).round(2).to_markdown(index=False)}", flush=True)


if __name__ == "__main__":
    main()
