"""Random rows with latents, in blocks and interleaved with text, and a fill of every kind."""

from __future__ import annotations

import random

import torch

from tests.families import LATENT, VOCABULARY, WIDTH
from thoughtscope.latents.fill import Fill
from thoughtscope.latents.fills.base import BaseFill
from thoughtscope.latents.fills.fusion import Settings as Fusion
from thoughtscope.latents.fills.hidden import Settings as Hidden
from thoughtscope.latents.layout import TokenSequence, sequence

FILLS: dict[str, BaseFill] = {
    "hidden": Hidden(kind="hidden"),
    "middle layer": Hidden(kind="hidden", layer=2),
    "fusion": Fusion(kind="fusion"),
    "fusion of a middle layer": Fusion(kind="fusion", layer=1, alpha=0.3, keep_crossing=True),
    "fusion with adapter": Fusion(kind="fusion", adapter=16),
    "fusion of all words": Fusion(kind="fusion", top_p=1.0, keep_crossing=True),  # smooth: rounding flips nothing
}


def interleaved(seed: int, rows: int = 5) -> list[TokenSequence]:
    rng = random.Random(seed)
    made = []
    for i in range(rows):
        prompt = [rng.randrange(4, VOCABULARY) for _ in range(rng.randint(1, 6))]
        response = [LATENT if rng.random() < 0.35 else rng.randrange(4, VOCABULARY) for _ in range(rng.randint(1, 9))]
        made.append(sequence(str(i), prompt, response, is_latent=[token == LATENT for token in response]))
    return made


def block(seed: int, rows: int = 4) -> list[TokenSequence]:
    rng = random.Random(seed)
    made = []
    for i in range(rows):
        prompt = [rng.randrange(4, VOCABULARY) for _ in range(rng.randint(2, 6))]
        thoughts = [LATENT] * rng.randint(0, 4)
        text = [rng.randrange(4, VOCABULARY) for _ in range(rng.randint(2, 5))]
        is_latent, labelled = [True] * len(thoughts) + [False] * len(text), [False] * len(thoughts) + [True] * len(text)
        made.append(sequence(str(i), prompt, thoughts + text, is_latent=is_latent, labelled=labelled))
    return made


HIDDEN = FILLS["hidden"]  # every fill but pause cuts a row alike
LAYOUTS = {"interleaved": interleaved, "block": block}


def make_fill(name: str, dtype: torch.dtype = torch.float64) -> Fill:
    torch.manual_seed(1)
    parameters = FILLS[name].parameters(WIDTH)
    return Fill(FILLS[name], LATENT, parameters.to(dtype) if parameters else None)
