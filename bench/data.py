"""Measures how soon a run on a large task starts and resumes, beside loading its model; prints a table.

    .venv/bin/python -m bench.data [--rows 400000]

Made-up problems of about 45 words and three equations, the tokenizer and chat template of SmolLM2, a Llama of one layer
of width 32 with its vocabulary, one core. `tokenise` happens once for all runs of a task, backbone and method; `start`
ends with the first update of a new run, `resume` with the first update after a saved one. Seconds are processor time.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from tests.integration.world import COCONUT, LT_TUNING, World, alone
from thoughtscope import schemas
from thoughtscope.artifacts import artifact_folder
from thoughtscope.backbones.gguf import convert
from thoughtscope.backbones.load import MODEL, load_backbone
from thoughtscope.backbones.settings import Settings
from thoughtscope.parsing import read_yaml
from thoughtscope.reasoner import Prompting
from thoughtscope.run_id import RunId
from thoughtscope.tasks.answers import Judge
from thoughtscope.tasks.prepare import EXAMPLES
from thoughtscope.training.examples import tokenise
from thoughtscope.training.stage_data import ENDS, VALUES, Probabilities

SMOLLM2 = Path(__file__).parents[1] / "config/backbones/smollm2-135m.yaml"
FEW = {"training": {"updates": 100, "batch_size": 8}, "evaluation": {"examples": 8, "max_new_tokens": 4}}


def examples(count: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of a task: `count` for training, 500 for validation and 500 for test."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 8))) for _ in range(20_000)]
    for split, size in {"train": count, "validation": 500, "test": 500}.items():
        for i in range(size):
            question = " ".join(rng.choices(words, k=rng.randint(20, 70))) + "?"
            pairs = [(rng.randrange(99), rng.randrange(99)) for _ in range(3)]
            row = {"example_id": f"{split}-{i}", "split": split, "question": question, "overlap": None}
            steps = [f"<<{a}+{b}={a + b}>>" for a, b in pairs]
            yield {**row, "steps": steps, "answer": str(sum(pairs[-1])), "step_values": [], **Judge().columns}


def backbone(folder: Path) -> None:
    """Write a tiny Llama with SmolLM2's tokenizer."""
    convert(Settings.model_validate(read_yaml(SMOLLM2)), folder, "smollm2-135m")
    _, tokenizer = load_backbone(folder)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    ids = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    config = LlamaConfig(**shape, **ids, vocab_size=len(tokenizer), max_position_embeddings=4096)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)


def cost(act: Callable[[], object]) -> float:
    """Return the processor time of `act`."""
    start = time.process_time()
    act()
    return time.process_time() - start


def begin(world: World, name: str, run: RunId) -> None:
    """Start or resume a run and do one update."""
    trainer = world.here(name, run, **FEW)
    trainer.resume()
    if not trainer.progress.step:
        trainer.begin_stage()
    trainer.update()
    trainer.save()


def array_file(folder: Path, count: int) -> None:
    """Write and open probabilities of so many responses, 40 tokens each, and read a thousand."""
    with artifact_folder(folder, {}) as staging:
        np.save(staging / VALUES, np.random.default_rng(0).random(40 * count, np.float32))
        np.save(staging / ENDS, np.arange(0, 40 * count + 1, 40))
    found = Probabilities(folder)
    assert all(len(found[i]) == 40 for i in range(1000))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    count = parser.parse_args().rows
    torch.set_num_threads(1)
    alone()
    with tempfile.TemporaryDirectory() as place:
        world = World(Path(place))
        task, model = world.folder / "task", world.folder / "backbone" / MODEL
        for folder in (task, model):
            folder.mkdir(parents=True)
        schemas.write(task / EXAMPLES, schemas.REASONING, examples(count))
        backbone(model)
        _, tokenizer = load_backbone(model)
        rows = schemas.stream(task / EXAMPLES, schemas.REASONING)
        once = cost(lambda: tokenise(tokenizer, Prompting(), rows, world.folder / "once"))
        size = sum(file.stat().st_size for file in (world.folder / "once").iterdir())
        loading = cost(lambda: load_backbone(model))
        row: dict[str, Any] = {"rows": count, "tokenise, s": once, "file, MB": size / 1e6, "load model, s": loading}
        for name, run in {"Coconut": COCONUT, "LT-Tuning": LT_TUNING}.items():
            begin(world, f"first-{name}", run)  # tokenises
            row[f"start {name}, s"] = cost(lambda name=name, run=run: begin(world, name, run)) - loading
            row[f"resume {name}, s"] = cost(lambda name=name, run=run: begin(world, name, run)) - loading
        row["probabilities, s"] = cost(lambda: array_file(world.folder / "probabilities", count))
        row["GB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(pd.DataFrame([row]).round(2).to_markdown(index=False))


if __name__ == "__main__":
    sys.exit(main())
