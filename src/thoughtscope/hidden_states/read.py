"""Reads stored hidden states: only the partition that is asked for, and of it only the rows.

    <folder>/kind={input,output}/layer={none,0,1,...}/*.parquet    tables.hidden_state_schema
    <folder>/states.json                                           what was stored

Knows nothing about models: needs no torch.
"""

from __future__ import annotations

import json
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from thoughtscope import schemas
from thoughtscope.errors import UserError

Kind = Literal["input", "output"]
STATES, REPEATS = "states.json", "repeats.parquet"
COLUMNS = [
    *("run", "checkpoint_step", "example_id", "position", "latent_index", "token_id", "token"),
    *("role", "next_token", "next_role"),
]


def describe_states(folder: Path) -> dict[str, Any]:
    """Return `states.json`: width, dtype, precision, layers, final_norm_layer, checkpoints, examples, embedding_norm.

    Raises:
        UserError: `folder` holds no hidden states.
    """
    path = folder / STATES
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise UserError(str(path), "no readable description of hidden states", "run the extraction again") from error


def read_vectors(
    folder: Path,
    kind: Kind,
    layer: int | None = None,
    latent_index: int | Literal["text"] | None = None,
    checkpoint: int | None = None,
) -> tuple[NDArray[np.float32], pd.DataFrame]:
    """Return vectors `[n, width]` in float32 and, row for row, the other columns of the hidden-state contract.

    Args:
        folder: `results/hidden_states/<run>`.
        kind: what is fed at a position (`input`) or the state there (`output`).
        layer: of kind `output`; None is the layer after the final norm. Kind `input` has none.
        latent_index: of the latents, only the k-th, counted from 1; `text`: all that are no latents; None: both.
        checkpoint: the optimiser step of the model; None: all that were stored.

    The rows of statements are sorted by example and position.

    Raises:
        UserError: that partition was not stored, or a file of it is damaged.
    """
    if kind == "output" and layer is None:
        layer = int(describe_states(folder)["final_norm_layer"])
    part = folder / f"kind={kind}" / f"layer={'none' if layer is None else layer}"
    files = sorted(part.glob("*.parquet"))
    if not files:
        there = ", ".join(sorted(path.parent.name for path in folder.glob(f"kind={kind}/*/*.parquet"))) or "nothing"
        raise UserError(str(part), "was not stored", f"extract that layer; of kind {kind} there is {there}")
    filters = _filters(latent_index, checkpoint)
    read = [_read_part(file, filters) for file in files]
    frame = pd.concat([frame for _, frame in read], ignore_index=True)
    vectors = np.concatenate([vectors for vectors, _ in read])
    if (folder / REPEATS).is_file():
        order, frame = _with_repeats(frame, folder / REPEATS)
        vectors = vectors[order]
    return vectors, frame.assign(layer=layer, kind=kind)


def _with_repeats(frame: pd.DataFrame, file: Path) -> tuple[NDArray[np.intp], pd.DataFrame]:
    """Add rows whose states are stored for another example; sort all by example and position.

    Returns:
        Of each row, which of `frame` holds its vector; and the rows.
    """
    repeats = schemas.read(file, schemas.REPEATS).to_pandas()
    stored = frame[["example_id", "position"]].assign(row=np.arange(len(frame)))
    found = repeats.merge(stored.rename(columns={"example_id": "same_as"}), on=["same_as", "position"])
    added = frame.iloc[found["row"]].assign(example_id=found["example_id"].to_numpy(), row=found["row"].to_numpy())
    both = pd.concat([frame.assign(row=stored["row"]), added])
    both = both.sort_values(["example_id", "position"], ignore_index=True)
    return both["row"].to_numpy(dtype=np.intp), both[frame.columns]


def _filters(latent_index: int | Literal["text"] | None, checkpoint: int | None) -> pc.Expression | None:
    wanted = []
    if latent_index is not None:
        column = pc.field("latent_index")
        wanted.append(column.is_null() if latent_index == "text" else column == latent_index)
    if checkpoint is not None:
        wanted.append(pc.field("checkpoint_step") == checkpoint)
    return reduce(and_, wanted) if wanted else None


def _read_part(file: Path, filters: pc.Expression | None) -> tuple[NDArray[np.float32], pd.DataFrame]:
    try:
        table = pq.read_table(file, columns=[*COLUMNS, "vector"], filters=filters, partitioning=None)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            str(file), f"not a whole file of hidden states ({error})", "run the extraction again"
        ) from error
    width = table.schema.field("vector").type.list_size
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in table.column("vector").chunks]
    vectors = np.concatenate([np.empty(0, np.float32), *chunks]).astype(np.float32).reshape(-1, width)
    frame = table.select(COLUMNS).to_pandas()
    return vectors, frame.astype({"latent_index": "Int32", "token_id": "Int32"})
