"""Trains a Llama shape for a few hundred steps and says what a card gets out of it; prints Markdown.

.venv/bin/python bench/gpu.py [--shape 1b] [--steps 200] [--batch 32] [--deepspeed zero2]

Plain fine-tuning, Coconut (six latents in a block) and LT-Tuning (six at random places, fusion) over the same number
of real tokens, through the project's own DeepSpeed engine: bf16 on CUDA, float32 without. Weights and texts are
random; a loss that falls shows that it trains. `tiny` runs anywhere in seconds. Floating-point work is counted as
6 x parameters x tokens (2 forward, 4 backward, arXiv 2001.08361), the head on labelled tokens only.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import deepspeed
import pandas as pd
import torch
import yaml
from transformers import AutoModelForCausalLM, LlamaConfig

from thoughtscope.latents.fill import Fill
from thoughtscope.latents.fills.fusion import Settings as Fusion
from thoughtscope.latents.fills.hidden import Settings as Hidden
from thoughtscope.latents.layout import TokenSequence, sequence
from thoughtscope.latents.packing import pack
from thoughtscope.methods.curriculum import Example
from thoughtscope.methods.minibatch import Counts, MicroBatch, Row
from thoughtscope.reasoner import device_and_dtype
from thoughtscope.training.deepspeed import DeepSpeed
from thoughtscope.training.engine import Engine
from thoughtscope.training.hyperparameters import Training
from thoughtscope.training.network import Network
from thoughtscope.training.ranks import Ranks

ROOT, LATENT = Path(__file__).parents[1], 2
SHAPES: dict[str, dict[str, int]] = {
    "tiny": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
             "intermediate_size": 256, "vocab_size": 512},
    "1b": {"hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8,
           "intermediate_size": 8192, "vocab_size": 128256},  # Llama-3.2-1B's config.json
}  # fmt: skip
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12}  # dense bf16, from the makers' data sheets
FILLS = {
    "plain": None,
    "coconut": Hidden(kind="hidden"),
    "lt-tuning": Fusion(kind="fusion", alpha=0.6),
}


def build(shape: str, dtype: str) -> Any:
    """Return a random Llama of a shape, on the device."""
    torch.manual_seed(0)
    config = LlamaConfig(**SHAPES[shape], tie_word_embeddings=True, max_position_embeddings=4096, pad_token_id=0)
    device, _ = device_and_dtype("auto")
    with torch.device(device):
        return AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))


def rows(kind: str, batch: int, prompt: int, text: int, latents: int, words: int, seed: int) -> list[TokenSequence]:
    """Return a batch of equally many tokens for every kind; a plain row has text where others have latents."""
    rng = random.Random(seed)
    made = []
    for i in range(batch):
        ids = [rng.randrange(3, min(words, 400)) for _ in range(prompt + latents + text)]
        places = set(range(latents)) if kind == "coconut" else set(rng.sample(range(latents + text), latents))
        response = [LATENT if t in places and kind != "plain" else token for t, token in enumerate(ids[prompt:])]
        is_latent = [t in places and kind != "plain" for t in range(len(response))]
        labelled = [not latent for latent in is_latent]
        made.append(sequence(str(i), ids[:prompt], response, is_latent=is_latent, labelled=labelled))
    return made


def measure(kind: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Train one kind for `asked.steps` steps; return seconds a step, tokens a second, memory and losses."""
    device, dtype = device_and_dtype("auto")
    settings = FILLS[kind]
    model = build(asked.shape, dtype)
    parameters = None if settings is None else settings.parameters(model.config.hidden_size)
    fill = None if settings is None else Fill(settings, LATENT, parameters)
    network = Network(model, {} if parameters is None else {"fill": parameters})
    training = Training.model_validate({"updates": asked.steps, "batch_size": asked.batch})
    config = yaml.safe_load((ROOT / f"config/deepspeed/{asked.deepspeed}.yaml").read_text())
    engine = Engine(network, training, DeepSpeed.model_validate(config), Ranks.here(), 1, dtype)
    network.train()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    losses, seconds, tokens, labels = [], [], 0, 0
    for step, laid in enumerate(_batches(kind, asked, model.config.vocab_size)):
        start = time.perf_counter()
        batch = pack(laid, settings, for_labels=True, device=device)
        made = [Row(Example(one.example_id, [], [], []), one) for one in laid]
        counts = Counts.of(made)
        labels = counts.labels
        losses.append(
            engine.update([MicroBatch(made, batch, counts)], fill, 1e-4)[0]
        )  # reading the loss waits for the card
        if step >= asked.steps // 4:
            seconds.append(time.perf_counter() - start)
        tokens = sum(len(one.token_ids) for one in laid)
    mean = sum(seconds) / len(seconds)
    body = sum(value.numel() for value in model.model.layers.parameters())
    work = 6 * (body * tokens + model.config.hidden_size * model.config.vocab_size * labels)
    peak = next((value for name, value in PEAKS.items() if device == "cuda" and name in _card()), None)
    return {
        "kind": kind,
        "s/step": mean,
        "tokens/s": tokens / mean,
        "of the matrix peak": work / mean / peak if peak else float("nan"),
        "GB": torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else float("nan"),
        "first loss": losses[0],
        "last loss": losses[-1],
    }


def _batches(kind: str, asked: argparse.Namespace, words: int) -> Iterator[list[TokenSequence]]:
    for step in range(asked.steps):
        yield rows(kind, asked.batch, asked.prompt, asked.text, asked.latents, words, seed=step % 4)


def _card() -> str:
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="1b")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--prompt", type=int, default=96)
    parser.add_argument("--text", type=int, default=58)
    parser.add_argument("--latents", type=int, default=6)
    parser.add_argument("--deepspeed", default="zero0", help="a file of config/deepspeed")
    asked = parser.parse_args()
    for key, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}.items():
        os.environ.setdefault(key, value)
    os.environ.setdefault("MASTER_PORT", str(20000 + os.getpid() % 20000))
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # it would be compiled first, for minutes
    deepspeed.init_distributed(dist_backend="nccl" if torch.cuda.is_available() else "gloo", verbose=False)
    table = pd.DataFrame([measure(kind, asked) for kind in FILLS])
    table.insert(2, "by plain", table["s/step"] / table["s/step"].iloc[0])
    print(f"\n{_card()}, Llama {asked.shape}, {asked.deepspeed}, batch {asked.batch}, {asked.steps} steps\n")
    print(table.round(3).to_markdown(index=False))


if __name__ == "__main__":
    main()
