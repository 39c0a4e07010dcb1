"""Reads what figures are drawn from: artifact folders in, the tables that a kind's `draw` takes out.

Knows nothing of how they are drawn; loads no model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from thoughtscope import schemas
from thoughtscope.errors import UserError
from thoughtscope.figures.looks import Series
from thoughtscope.figures.settings import INPUT, LatentScatter, LatentScatterTraining
from thoughtscope.hidden_states.read import describe_states, read_vectors
from thoughtscope.run_id import RunId
from thoughtscope.settings import Strict

ACCURACY, ACTIVITY, TASK = "accuracy.parquet", "activity.parquet", "task.parquet"


def read_inputs(
    kind: str, folders: Sequence[Path], options: Strict, series: Mapping[str, Series], methods: Mapping[str, str]
) -> tuple[Any, ...]:
    """Return the first arguments of the kind's `draw`, those before options and title.

    Args:
        folders: runs, hidden states, or probes together with their task, as `INPUT` says of the kind.
        series: of the figure, by name in the order of its legend.
        methods: labels of the methods, for figures in which they are no series.

    Raises:
        UserError: a table is missing, or what was given does not make one figure.
    """
    if INPUT[kind] == "runs":
        rows = accuracy_rows(folders)
        return (rows, series, methods) if kind == "benchmark" else (rows, series)
    if INPUT[kind] == "activity":
        return activity_rows(folders)
    if not isinstance(options, LatentScatter | LatentScatterTraining):
        raise TypeError(f"{kind} has options of another kind: {type(options).__name__}")
    found = (*latent_vectors(folders, options, {name: one.label for name, one in series.items()}), series)
    return (*found, kept_checkpoints(folders)) if isinstance(options, LatentScatterTraining) else found


def kept_checkpoints(folders: Sequence[Path]) -> dict[str, list[int]]:
    """Return the updates after which each method's model was kept and its states were stored."""
    return {_method(folder): list(describe_states(folder)["checkpoints"]) for folder in folders}


def _method(folder: Path) -> str:
    return RunId.parse("/".join(folder.parts[-5:])).method


def accuracy_rows(folders: Sequence[Path]) -> pd.DataFrame:
    """Return `schemas.ACCURACY` of all runs."""
    return _read([folder / ACCURACY for folder in folders], schemas.ACCURACY)


def activity_rows(folders: Sequence[Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return `schemas.ACTIVITY` of the probes folders and `schemas.STATEMENTS` of the task folders.

    Raises:
        UserError: there is not at least one of each.
    """
    scores = [folder / ACTIVITY for folder in folders if (folder / ACTIVITY).exists()]
    tasks = [folder / TASK for folder in folders if (folder / TASK).exists()]
    for found, name in ((scores, ACTIVITY), (tasks, TASK)):
        if not found:
            told = ", ".join(map(str, folders))
            raise UserError("figure", f"no {name} in {told}", "give the folders of truth probes and of their task")
    return _read(scores, schemas.ACTIVITY), _read(tasks, schemas.STATEMENTS)


def latent_vectors(
    folders: Sequence[Path], options: LatentScatter | LatentScatterTraining, methods: Mapping[str, str]
) -> tuple[pd.DataFrame, np.ndarray, dict[str, int]]:
    """Return the latents' table, their vectors `[n, width]`, and how many questions each method answered.

    Raises:
        UserError: two folders of one method, or vectors of different widths.
    """
    parts, vectors, questions = [], [], {}
    for folder in folders:
        method = _method(folder)
        if method in questions:
            raise UserError("figure", f"several runs of {method}", "name one task, backbone, trainable and seed")
        questions[method] = int(describe_states(folder)["examples"])
        for step in options.latents:
            found, rows = read_vectors(folder, options.vectors, options.layer, latent_index=step)
            vectors.append(found)
            parts.append(rows.assign(method=method, label=methods.get(method, method)))
    widths = {part.shape[1] for part in vectors}
    if len(widths) > 1:
        raise UserError("figure", f"vectors of widths {sorted(widths)}", "draw runs of one backbone")
    columns = ["method", "label", "example_id", "latent_index", "checkpoint_step", "next_token", "next_role"]
    return pd.concat(parts, ignore_index=True)[columns], np.concatenate(vectors), questions


def _read(paths: Sequence[Path], schema: pa.Schema) -> pd.DataFrame:
    parts: list[pd.DataFrame] = [schemas.read(path, schema).to_pandas() for path in paths]
    return pd.concat(parts, ignore_index=True)
