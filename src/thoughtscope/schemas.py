"""The columns of all Parquet files of the pipeline, with a writer and a reader that check them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from thoughtscope.errors import UserError

FIX = "delete its folder and run again"

RUN = [
    ("run", pa.string()),
    ("task", pa.string()),
    ("backbone", pa.string()),
    ("method", pa.string()),
    ("trainable", pa.string()),
    ("seed", pa.int32()),
]

STATEMENTS_READ = [("task", pa.string()), ("backbone", pa.string())]

REASONING = pa.schema(
    [
        ("example_id", pa.string()),
        ("split", pa.string()),
        ("question", pa.string()),
        ("steps", pa.list_(pa.string())),
        ("answer", pa.string()),
        ("answer_format", pa.string()),  # how answers are read and compared: `tasks.answers.Judge`
        ("absolute_tolerance", pa.float64()),
        ("relative_tolerance", pa.float64()),
        ("answer_marks", pa.list_(pa.string())),
        (
            "step_values",
            pa.list_(pa.string()),
        ),  # the value after each step, for probes; may be empty
        # for each step, the answer that follows from each value it could have reached; empty: the task does not say
        ("outcomes", pa.list_(pa.map_(pa.string(), pa.string()))),
        ("overlap", pa.string()),  # the other split with this question: train | train in part | validation; null: none
    ]
)
STATEMENTS = pa.schema(
    [
        ("example_id", pa.string()),
        ("split", pa.string()),
        ("subject", pa.string()),
        ("attribute", pa.string()),
        ("negated", pa.bool_()),
        ("question", pa.string()),
        ("response", pa.string()),
        ("label", pa.int8()),  # 1 true, 0 false; null in the split calibration
    ]
)
PRETRAINING = pa.schema([("question", pa.string()), ("response", pa.string())])
LAYOUTS = LAST, CURRENT = "last", "current"
OTHER_LATENTS = ", latents: "  # between a split and the number of latents that `evaluation.latents` gave it
STOPPED = ("eos", "length", "loop")
ACCURACY = pa.schema(
    [
        *RUN,
        ("step", pa.int32()),
        ("stage", pa.string()),  # in which the run was; at a stage's last update, that stage
        ("stage_index", pa.int32()),
        ("layout", pa.string()),  # the stage whose layout was used: last | current (`LAYOUTS`)
        ("layout_stage", pa.string()),  # the name of that stage
        ("split", pa.string()),
        ("n", pa.int32()),
        ("correct", pa.int32()),
        ("accuracy", pa.float64()),
        ("ci_low", pa.float64()),
        ("ci_high", pa.float64()),
        ("mean_latents", pa.float64()),
        ("mean_visible_tokens", pa.float64()),
        ("mean_forward_passes", pa.float64()),
        ("mean_operations", pa.float64()),  # floating-point ones of a response (`latents.cost.operations`)
    ]
)
PREDICTIONS = pa.schema(
    [
        ("run", pa.string()),
        ("step", pa.int32()),
        ("layout", pa.string()),  # last | current, as in `ACCURACY`
        ("split", pa.string()),
        ("example_id", pa.string()),
        ("correct", pa.bool_()),
        ("predicted", pa.string()),
        ("response", pa.string()),
        ("latents", pa.int32()),
        ("visible_tokens", pa.int32()),
        ("forward_passes", pa.int32()),  # serial ones, of this response alone (`latents.generate.Generation`)
        ("operations", pa.float64()),  # floating-point ones, of this response alone (`latents.cost.operations`)
        ("stopped", pa.string()),  # one of `STOPPED`
        ("overlap", pa.string()),  # as in `REASONING`
    ]
)
METRICS = pa.schema(
    [
        ("step", pa.int32()),
        ("stage", pa.string()),
        ("loss", pa.float64()),
        ("learning_rate", pa.float64()),
        ("gradient_norm", pa.float64()),
        ("labelled_tokens", pa.int64()),  # tokens in the loss
        ("positions", pa.int64()),  # in all rows: prompts, text and latents, labelled or not
        ("computed_positions", pa.int64()),  # up to the last label of each row; each Jacobi sweep counts
        ("passes", pa.int32()),
        ("latents", pa.int64()),
    ]
)
SAMPLES = pa.schema(
    [
        ("run", pa.string()),
        ("example_id", pa.string()),  # of the split test
        ("sample", pa.int32()),  # from 0
        ("correct", pa.bool_()),
        ("predicted", pa.string()),  # null: the response has no answer
        ("visible_tokens", pa.int32()),
        ("latents", pa.int32()),
        ("stopped", pa.string()),
    ]
)
READINGS = pa.schema(
    [
        ("run", pa.string()),
        ("example_id", pa.string()),  # of the split test
        ("step_index", pa.int32()),  # of the step that the latents stand for, from 1
        ("step", pa.string()),  # null: the example has no such step
        ("reading", pa.string()),  # what the method's decoder writes when it sees the latents
        ("correct", pa.bool_()),  # whether it is the step
    ]
)
SURPRISALS = pa.schema(
    [
        ("run", pa.string()),  # <task>/<backbone>
        ("example_id", pa.string()),
        ("position", pa.int32()),  # in the whole sequence, as in the hidden states
        ("surprisal", pa.float64()),  # negative log-likelihood of the token there, in nats
    ]
)
# Statements about one question may have a common prefix, whose states are stored once.
REPEATS = pa.schema(
    [
        ("run", pa.string()),  # <task>/<backbone>
        ("example_id", pa.string()),
        ("position", pa.int32()),  # in the whole sequence
        ("same_as", pa.string()),  # the example whose states are stored at this position
    ]
)
# columns of a probe's table `evidence`: a held-out measure and its test against a null distribution
EVIDENCE = [
    ("n", pa.int32()),  # questions or statements
    ("measure", pa.string()),  # accuracy | auroc | ...
    ("value", pa.float64()),
    ("ci_low", pa.float64()),
    ("ci_high", pa.float64()),
    ("p", pa.float64()),  # (k + 1) / (B + 1), one-sided
    ("p_corrected", pa.float64()),  # the same for the largest of all values that the probe could have selected
    ("passes_null", pa.bool_()),
    ("note", pa.string()),  # why a row has no values
]


def hidden_state_schema(width: int, dtype: pa.DataType) -> pa.Schema:
    """Return the columns of a hidden-state file: a row for each vector ``[width]`` of `dtype` (float16 or float32)."""
    return pa.schema(
        [
            ("run", pa.string()),  # its path; <task>/<backbone> of statements that a backbone reads
            ("checkpoint_step", pa.int32()),
            ("example_id", pa.string()),
            ("position", pa.int32()),  # in the whole sequence, counted from 0
            ("latent_index", pa.int32()),  # 1 for the first latent of a response; null for text
            ("token_id", pa.int32()),
            ("token", pa.string()),
            ("role", pa.string()),  # latent | question | step | separator | answer | before | statement
            ("next_token", pa.string()),  # of a latent: the next text token; null at the end
            ("next_role", pa.string()),
            ("layer", pa.int32()),  # 0 = embedding output; null for kind input
            ("kind", pa.string()),  # input | output
            ("vector", pa.list_(dtype, width)),
        ]
    )


def write(path: Path, schema: pa.Schema, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write `rows` to a Parquet file, some thousands at a time, and return their number.

    Raises:
        UserError: a row has missing or additional columns, or a value of the wrong type.
    """
    count = 0
    with pq.ParquetWriter(path, schema) as writer:
        try:
            for batch in batches(schema, rows):
                writer.write_batch(batch)
                count += batch.num_rows
        except _ColumnError as error:
            raise UserError(str(path), str(error), "correct the writer") from error
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise UserError(str(path), f"a value does not fit its column ({error})", "correct the data") from error
    return count


class _ColumnError(ValueError):
    """Rows do not have the columns of their schema."""


def batches(schema: pa.Schema, rows: Iterable[Mapping[str, Any]], size: int = 10_000) -> Iterator[pa.RecordBatch]:
    """Yield rows as record batches of `size`, which limits the number of Python objects in memory.

    Raises:
        ValueError: the first row of a batch has other columns than `schema`, or a value does not fit.
    """
    rows = iter(rows)
    while batch := [dict(row) for row in islice(rows, size)]:
        if set(batch[0]) != set(schema.names):
            raise _ColumnError(f"columns {sorted(batch[0])} are not {sorted(schema.names)}")
        yield pa.RecordBatch.from_pylist(batch, schema=schema)


def read(path: Path, schema: pa.Schema, filters: Any = None) -> pa.Table:
    """Read a Parquet file or partitioned folder and check that it has the columns of `schema`.

    Raises:
        UserError: the file is missing or truncated, or a column is missing or has another type.
    """
    table = read_any(path, schema.names, filters)
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise UserError(str(path), f"a column has the wrong type ({error})", FIX) from error


def stream(path: Path, schema: pa.Schema) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file, of which some thousands at a time are in memory.

    Raises:
        UserError: the file is missing, cut short, or lacks a column or has it with another type.
    """
    if not path.exists():
        raise UserError(str(path), "no such table", "run the stage that makes it")
    try:
        with pq.ParquetFile(path) as file:
            if missing := [name for name in schema.names if name not in file.schema_arrow.names]:
                raise UserError(str(path), f"column {missing[0]!r} is missing", FIX)
            for batch in file.iter_batches(10_000, columns=schema.names):
                yield from pa.Table.from_batches([batch]).select(schema.names).cast(schema).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise UserError(str(path), f"not a whole Parquet file ({error})", FIX) from error


def read_any(path: Path, columns: Iterable[str] = (), filters: Any = None) -> pa.Table:
    """Read a Parquet file or partitioned folder, which must have at least `columns`.

    Raises:
        UserError: the file is missing or truncated, or lacks a column.
    """
    if not path.exists():
        raise UserError(str(path), "no such table", "run the stage that makes it")
    try:
        table = pq.read_table(path, filters=filters)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(str(path), f"not a whole Parquet file ({error})", FIX) from error
    for name in columns:
        if name not in table.column_names:
            raise UserError(str(path), f"column {name!r} is missing", FIX)
    return table
