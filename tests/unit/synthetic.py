"""Artifact folders made of known numbers, in the form the stages write them; no model is involved."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from thoughtscope import tables
from thoughtscope.config.run import Run
from thoughtscope.evaluation.statistics import wilson_interval


def write_run(
    folder: Path,
    run: Run,
    correct: Mapping[int, Sequence[bool]],
    latents: float = 0.0,
    further: Mapping[str, Sequence[bool]] | None = None,
    current: Mapping[int, Sequence[bool]] | None = None,
    ends: Sequence[int] = (),
    stopped: Sequence[str] = ("eos",),
    passes: int = 5,
) -> Path:
    """Write accuracy, predictions and schedule of a run whose items are right as `correct[step]` says.

    Args:
        correct: with the last stage's layout.
        further: test sets that were measured at the last step alone.
        current: the same with the layout of the stage that the run was in.
        ends: the last updates of all stages but the last; without any there is one stage.
        stopped: how responses stopped, in turn.
    """
    place = folder / run.path
    place.mkdir(parents=True)
    updates = max(correct)
    bounds = [0, *ends, updates]
    names = [f"stage {i}" for i in range(len(bounds) - 1)]
    accuracy, predictions = [], []
    measured = [(step, "last", "test", right) for step, right in correct.items()]
    measured += [(step, "current", "test", right) for step, right in (current or {}).items()]
    measured += [(updates, "last", split, right) for split, right in (further or {}).items()]
    for step, layout, split, right in measured:
        low, high = wilson_interval(sum(right), len(right), 0.95)
        index = sum(step > end for end in ends)
        accuracy.append(
            {
                **run.columns,
                "step": step,
                "stage": names[index],
                "stage_index": index,
                "layout": layout,
                "layout_stage": names[-1 if layout == "last" else index],
                "split": split,
                "n": len(right),
                "correct": sum(right),
                "accuracy": sum(right) / len(right),
                "ci_low": low,
                "ci_high": high,
                "mean_latents": latents,
                "mean_visible_tokens": 4.0,
                "mean_forward_passes": float(passes),
            }
        )
        where = {"run": run.path, "step": step, "layout": layout, "split": split}
        predictions += [
            {**where, **_prediction(f"{split}-{item:03d}", one, stopped[item % len(stopped)], passes)}
            for item, one in enumerate(right)
        ]
    tables.write(place / "accuracy.parquet", tables.ACCURACY, accuracy)
    tables.write(place / "predictions.parquet", tables.PREDICTIONS, predictions)
    pairs = zip(names, bounds[:-1], bounds[1:], strict=True)
    stages = [{"name": name, "first_step": first, "last_step": last} for name, first, last in pairs]
    schedule = {"stages": stages, "updates": updates, "labelled_tokens": 3 * updates, "positions": 10 * updates}
    (place / "schedule.json").write_text(json.dumps(schedule))
    return place


def _prediction(example: str, correct: bool, stopped: str, passes: int) -> dict[str, object]:
    return {
        "example_id": example,
        "correct": correct,
        "predicted": "1",
        "response": "#### 1",
        "latents": 1,
        "visible_tokens": 4,
        "forward_passes": passes,
        "stopped": stopped,
        "overlap": "train" if int(example.rpartition("-")[2]) % 5 == 4 else None,
    }


def write_states(
    folder: Path,
    run: Run,
    latents: Mapping[int, np.ndarray],
    text: np.ndarray | None = None,
    checkpoints: Iterable[int] = (100,),
    embedding_norm: float = 1.0,
    dtype: str = "float32",
) -> Path:
    """Write hidden states: `latents[k]` is `[questions that reach k, width]`, `text` is `[questions, tokens, width]`.

    The first questions are those that reach a step. Kind output, layer 2 (after the final norm), holds twice
    the vectors of kind input; every checkpoint holds the same ones plus its number in the first entry.
    """
    place = folder / run.path
    width = next(iter(latents.values())).shape[1]
    for kind, layer, factor in (("input", None, 1.0), ("output", 2, 2.0)):
        rows, vectors = [], []
        for checkpoint in checkpoints:
            for k, found in latents.items():
                rows += [_state(run, checkpoint, question, 4 + k, k, kind, layer) for question in range(len(found))]
                vectors.append(found * factor)
            for token in range(text.shape[1] if text is not None else 0):
                rows += [_state(run, checkpoint, question, token, None, kind, layer) for question in range(len(text))]
                vectors.append(text[:, token] * factor)
        _write_part(place, kind, layer, rows, np.concatenate(vectors).astype(dtype), width)
    about = {
        "width": width,
        "dtype": dtype,
        "layers": [2],
        "final_norm_layer": 2,
        "checkpoints": sorted(checkpoints),
        "examples": max(len(found) for found in latents.values()),
        "embedding_norm": embedding_norm,
    }
    (place / "states.json").write_text(json.dumps(about))
    return place


def _state(
    run: Run, checkpoint: int, question: int, position: int, k: int | None, kind: str, layer: int | None
) -> dict[str, object]:
    return {
        "run": run.path,
        "checkpoint_step": checkpoint,
        "example_id": f"test-{question:03d}",
        "position": position,
        "latent_index": k,
        "token_id": 1,
        "token": "x",
        "layer": layer,
        "kind": kind,
    }


def _write_part(
    place: Path, kind: str, layer: int | None, rows: list[dict[str, object]], vectors: np.ndarray, width: int
) -> None:
    schema = tables.hidden_state_schema(width, pa.from_numpy_dtype(vectors.dtype))
    table = pa.Table.from_pylist(rows, schema=pa.schema([field for field in schema if field.name != "vector"]))
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), width)
    target = place / f"kind={kind}" / f"layer={'none' if layer is None else layer}" / "part.parquet"
    target.parent.mkdir(parents=True)
    pq.write_table(table.append_column(schema.field("vector"), column), target, row_group_size=50)
