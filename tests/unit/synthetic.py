"""Artifact folders made of known numbers, in the form the stages write them; no model is involved."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from thoughtscope import schemas
from thoughtscope.run_id import RunId
from thoughtscope.statistics import wilson_interval


def write_run(
    folder: Path,
    run: RunId,
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
                "mean_operations": 1000.0 * passes,
            }
        )
        where = {"run": run.path, "step": step, "layout": layout, "split": split}
        predictions += [
            {**where, **_prediction(f"{split}-{item:03d}", one, stopped[item % len(stopped)], passes)}
            for item, one in enumerate(right)
        ]
    schemas.write(place / "accuracy.parquet", schemas.ACCURACY, accuracy)
    schemas.write(place / "predictions.parquet", schemas.PREDICTIONS, predictions)
    pairs = zip(names, bounds[:-1], bounds[1:], strict=True)
    stages = [{"name": name, "first_step": first, "last_step": last} for name, first, last in pairs]
    schedule = {"stages": stages, "updates": updates, "labelled_tokens": 3 * updates, "positions": 10 * updates}
    (place / "schedule.json").write_text(json.dumps(schedule))
    times = {"seconds_per_question": 0.25, "device": "cpu", "batch_size": 256}
    (place / "times.json").write_text(json.dumps(times))
    return place


def write_readings(place: Path, readings: Mapping[int, Sequence[tuple[str | None, str]]]) -> None:
    """Write what a decoder read, by step: for each question the step (None: it has none such) and the reading."""
    rows = [
        {
            "run": "run",
            "example_id": f"test-{item}",
            "step_index": index,
            "step": step,
            "reading": reading,
            "correct": None if step is None else step == reading,
        }
        for index, pairs in readings.items()
        for item, (step, reading) in enumerate(pairs)
    ]
    schemas.write(place / "readings.parquet", schemas.READINGS, rows)


def write_samples(place: Path, answers: Mapping[str, Sequence[str | None]], gold: str) -> None:
    """Write the drawn responses of a run, by question; an answer is right if it is `gold`."""
    rows = [
        {
            "run": "run",
            "example_id": example,
            "sample": sample,
            "correct": answer == gold,
            "predicted": answer,
            "visible_tokens": 4,
            "latents": 1,
            "stopped": "eos",
        }
        for example, drawn in answers.items()
        for sample, answer in enumerate(drawn)
    ]
    schemas.write(place / "samples.parquet", schemas.SAMPLES, rows)


def _prediction(example: str, correct: bool, stopped: str, passes: int) -> dict[str, object]:
    return {
        "example_id": example,
        "correct": correct,
        "predicted": "1",
        "response": "#### 1",
        "latents": 1,
        "visible_tokens": 4,
        "forward_passes": passes,
        "operations": 1000.0 * passes,
        "stopped": stopped,
        "overlap": "train" if int(example.rpartition("-")[2]) % 5 == 4 else None,
    }


def write_states(
    folder: Path,
    run: RunId,
    latents: Mapping[int, np.ndarray],
    text: np.ndarray | Mapping[str, np.ndarray] | None = None,
    checkpoints: Iterable[int] = (100,),
    embedding_norm: float = 1.0,
    dtype: str = "float32",
    next_token: str | None = ";",
) -> Path:
    """Write hidden states: `latents[k]` is `[questions that reach k, width]`, `text` is `[questions, tokens, width]`.

    The first questions are those that reach a step. Text may be given by role (`answer` otherwise); roles follow one
    another, 100 positions apart. Kind output, layer 2 (after the final norm), holds twice the vectors of kind input;
    every checkpoint holds the same ones. All latents precede `next_token`.
    """
    place = folder / run.path
    width = next(iter(latents.values())).shape[1]
    by_role = text if isinstance(text, Mapping) else {"answer": text} if text is not None else {}
    for kind, layer, factor in (("input", None, 1.0), ("output", 2, 2.0)):
        rows, vectors = [], []
        for checkpoint in checkpoints:
            one = {"run": run.path, "checkpoint_step": checkpoint, "token_id": 1, "token": "x", "layer": layer}
            for k, found in latents.items():
                latent = {"latent_index": k, "role": "latent", "next_token": next_token, "next_role": "separator"}
                rows += [{**one, **latent, **_place(question, 4 + k)} for question in range(len(found))]
                vectors.append(found * factor)
            for start, (role, found) in enumerate(by_role.items(), start=1):
                for token in range(found.shape[1]):
                    rows += [{**one, "role": role, **_place(q, 100 * start + token)} for q in range(len(found))]
                    vectors.append(found[:, token] * factor)
        blank = {"latent_index": None, "next_token": None, "next_role": None, "kind": kind}
        _write_part(
            place, kind, layer, [{**blank, **row} for row in rows], np.concatenate(vectors).astype(dtype), width
        )
    about = {
        "width": width,
        "dtype": dtype,
        "precision": "float32",
        "layers": [2],
        "final_norm_layer": 2,
        "checkpoints": sorted(checkpoints),
        "examples": max(len(found) for found in latents.values()),
        "embedding_norm": embedding_norm,
    }
    (place / "states.json").write_text(json.dumps(about))
    return place


def _place(question: int, position: int) -> dict[str, object]:
    return {"example_id": f"test-{question:03d}", "position": position}


def _write_part(
    place: Path, kind: str, layer: int | None, rows: list[dict[str, object]], vectors: np.ndarray, width: int
) -> None:
    schema = schemas.hidden_state_schema(width, pa.from_numpy_dtype(vectors.dtype))
    table = pa.Table.from_pylist(rows, schema=pa.schema([field for field in schema if field.name != "vector"]))
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), width)
    target = place / f"kind={kind}" / f"layer={'none' if layer is None else layer}" / "part.parquet"
    target.parent.mkdir(parents=True)
    pq.write_table(table.append_column(schema.field("vector"), column), target, row_group_size=50)
