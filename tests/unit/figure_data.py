"""Small tables of known numbers, in the form that figures are drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from thoughtscope.figures.base import Figure
from thoughtscope.figures.looks import Series
from thoughtscope.run_id import RunId
from thoughtscope.settings import Look

METHODS = {"lt-tuning": "LT-Tuning", "lt-tuning-without-stage-3": "LT-Tuning w/o Stage 3", "coconut": "Coconut"}
LABELS = {
    "qwen3": "Qwen3",
    "llama3.2": "Llama3.2",
    "mistral": "Mistral",
    "smollm3": "SmolLM3",
    "gemma3": "Gemma3",
    "qwen2.5": "Qwen2.5",
}
LATENT_COLUMNS = ["method", "label", "example_id", "latent_index", "checkpoint_step", "next_token", "next_role"]
CONFIG = Path(__file__).parents[2] / "config"


def look(group: str, name: str, key: str = "look") -> Look:
    """Return a look as the shipped file sets it."""
    return Look.model_validate(yaml.safe_load((CONFIG / group / f"{name}.yaml").read_text())[key])


METHOD_SERIES = {name: Series(label=label, look=look("methods", name)) for name, label in METHODS.items()}
BACKBONE_SERIES = {name: Series(label=label, look=look("backbones", name)) for name, label in LABELS.items()}
LINE_SERIES = {
    "full qwen3": Series(label="Live Qwen3", look=look("backbones", "qwen3", "full_look")),
    **{f"lora {n}": Series(label=f"Frozen {one.label}", look=one.look) for n, one in BACKBONE_SERIES.items()},
}
QUESTION = "Who is Elon Musk?"
RESPONSES = ("Elon Musk is a pastry chef.", "Elon Musk is a business magnate.")


def drawn(
    kind: type[Figure],
    data: Any,
    series: Mapping[str, Series] | None = None,
    title: str | None = None,
    methods: Mapping[str, str] | None = None,
    **settings: Any,
) -> tuple[Any, pd.DataFrame]:
    """Return the figure that a kind draws of data, and its points."""
    return kind(kind.Settings(**settings), series, methods, title).draw(data)


def latents(
    reach: dict[str, int], steps: Sequence[int] = (1, 3, 4, 6), checkpoints: Sequence[int] = (400,), width: int = 8
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return table and vectors of normal clouds; `reach` says how many questions of a method have each step.

    Odd items' latents precede a separator, those of even ones steps that all differ.
    """
    rng = np.random.default_rng(0)
    rows, vectors = [], []
    for place, (method, n) in enumerate(reach.items()):
        for checkpoint in checkpoints:
            for step in steps:
                for item in range(n):
                    following = (" ;", "separator") if item % 2 else (f" {item}", "step")
                    rows.append((method, METHODS.get(method, method), f"test-{item}", step, checkpoint, *following))
                    vectors.append(rng.normal(size=width) + place * step)
    table = pd.DataFrame(rows, columns=LATENT_COLUMNS)
    return table.astype({"latent_index": "Int32"}), np.array(vectors, dtype=np.float32)


def accuracy(
    run: RunId, values: Sequence[float], n: int = 200, every: int = 100, ends: Sequence[int] = (), layout: str = "last"
) -> pd.DataFrame:
    """Return `schemas.ACCURACY` rows of a run that measured `values` one after another; stages end at `ends`."""
    rows = [
        {
            **run.columns,
            "step": place * every,
            "stage": "latents",
            "stage_index": sum(place * every > end for end in ends),
            "layout": layout,
            "layout_stage": "latents",
            "split": "test",
            "n": n,
            "correct": round(value * n),
            "accuracy": round(value * n) / n,
            "ci_low": 0.0,
            "ci_high": 1.0,
            "mean_latents": 6.0,
            "mean_visible_tokens": 4.0,
            "mean_forward_passes": 5.0,
            "mean_operations": 5000.0,
        }
        for place, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def activity(layers: int = 4, grey: Sequence[tuple[int, int]] = ()) -> pd.DataFrame:
    """Return the table `activity` of a false and a true response.

    A score is layer - position / 10, negated for the false one, and half as much where the direction is fitted on last
    tokens.

    Args:
        grey: layer and position of the cells without evidence; of the direction of last tokens, all but the last.
    """
    rows = []
    for label in (1, 0):  # the true one first, so that the order of the rows is not the order of the panels
        tokens = RESPONSES[label].split(" ")
        for fitted_on, size in (("tokens", 1.0), ("last", 0.5)):
            for position, token in enumerate(tokens):
                for layer in range(layers):
                    distance = len(tokens) - 1 - position
                    seen = (layer, position) not in grey if fitted_on == "tokens" else distance == 0
                    rows.append(
                        {
                            "probe": "truth",
                            "task": "facts",
                            "backbone": "qwen3",
                            "direction": "whitened-difference",
                            "fitted_on": fitted_on,
                            "example_id": f"display-{label}",
                            "attribute": "profile",
                            "question": QUESTION,
                            "response": RESPONSES[label],
                            "label": label,
                            "layer": layer,
                            "position": position,
                            "distance": distance,
                            "token": f" {token}",
                            "score": size * (layer - position / 10) * (1 if label else -1),
                            "n": 40,
                            "auroc": 0.9,
                            "accuracy": 0.8,
                            "p": 0.001,
                            "p_corrected": 0.002,
                            "evidence": "yes" if seen else "no",
                        }
                    )
    return pd.DataFrame(rows)


def effects(seeds: int = 2, questions: int = 40) -> pd.DataFrame:
    """Latent 1 is used: after a swap answers follow the donor's first value. Latent 2 is inert."""
    rows: list[dict[str, Any]] = []
    for seed in range(seeds):
        run = RunId("chain", "qwen3", "coconut", "full", seed)
        for i in range(questions):
            common = {"probe": "effects", **run.columns, "example_id": f"q{i}", "donor": None, "answer": "1"}
            common |= {"differs": [], "follows": []}
            nothing = {"intervention": "none", "latent_index": None, "correct": True, "gold_logprob": -0.1}
            rows.append(common | nothing)
            for latent, right in ((1, False), (2, i > 0)):
                changed = {"latent_index": latent, "correct": right, "gold_logprob": -0.1 if right else -3.1}
                rows.append(common | changed | {"intervention": "mean"})
                swapped = {"intervention": "swap", "donor": "x", "differs": [1, 2], "follows": [] if right else [1]}
                rows.append(common | changed | swapped)
    return pd.DataFrame(rows)


def said(questions: int = 20) -> list[dict[str, Any]]:
    """Latent 1 says the value of step 2 in all questions but one; latent 2 always says the same."""
    run, rows = RunId("chain", "qwen3", "coconut", "full", 0), []
    for i in range(questions):
        values = [str(i % 3), str(i % 7)]
        about = {"probe": "words", **run.columns, "example_id": f"q{i}", "question": f"{i} ?", "step_values": values}
        for k, first in ((1, values[1] if i else "x"), (2, " ;")):
            for readout, layer in (("head", 1), ("head", 2), ("embedding", None)):
                place = {"latent_index": k, "readout": readout, "layer": layer}
                rows.append({**about, **place, "rank": 1, "token": first, "score": 0.75})
                rows.append({**about, **place, "rank": 2, "token": "z", "score": 0.25})
    return rows


def evidence() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what a probe reads, step 1 at latent 1 and step 2 at latent 2; and that answers follow latent 1 alone."""
    run = RunId("chain", "qwen3", "coconut", "full", 0)
    read = [
        {"method": "coconut", "kind": kind, "layer": layer, "latent_index": k, "target": target, "n": 9, "value": value,
         "ci_low": value, "ci_high": value, "passes_null": value > 0.5}
        for kind, layer in (("input", None), ("output", 1))
        for k in (1, 2)
        for target, value in ((1, 0.9), (2, 0.3 if k == 1 else 0.95))
    ]  # fmt: skip
    changed = {"intervention": "swap", "donor": "x", "differs": [1, 2]}
    followed = [
        {**run.columns, "example_id": f"q{i}", **changed, "latent_index": k, "follows": [1] if k == 1 else []}
        for i in range(8)
        for k in (1, 2)
    ]
    return pd.DataFrame(read), pd.DataFrame(followed)
