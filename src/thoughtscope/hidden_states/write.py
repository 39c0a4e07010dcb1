"""Streams vectors to Parquet, one open file a partition, so that memory does not grow with their number.

    kind=output/layer=3/part.parquet

Knows nothing about models. bf16 values that overflow float16 would become inf: they are refused where
float16 was asked for a float32 model, and a bf16 model's states are stored as bfloat16 (see `storage_type`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from thoughtscope import schemas
from thoughtscope.errors import UserError
from thoughtscope.hidden_states.roles import STATEMENT

NO_LAYER = "none"
ROW_GROUP = 1024  # vectors that are written at once, at least: fewer are compressed worse
PAGE = 2**22  # bytes, so that a row group's vectors are mostly one page
GENERATIONS, SURPRISALS = "generations.parquet", "surprisals.parquet"


@dataclass(frozen=True)
class Position:
    """One stored position of a sequence.

    Args:
        latent_index: 1 for the first latent of a response, None for text.
        position: in the whole sequence, counted from 0.
        role: see `hidden_states.roles`.
        next_token, next_role: of the first token after a latent that is no latent; None at the end, and for text.
    """

    example_id: str
    position: int
    latent_index: int | None
    token_id: int
    token: str
    role: str = STATEMENT
    next_token: str | None = None
    next_role: str | None = None


def storage_type(asked: str, computed: str) -> str:
    """Return the type to store: what a model computes in bf16 is stored whole in that, and may not fit float16."""
    return "bfloat16" if computed == "bfloat16" else asked


def rounded(vectors: np.ndarray) -> np.ndarray:
    """Return float32 values rounded to the nearest bfloat16, halves to even."""
    bits = np.ascontiguousarray(vectors, dtype=np.float32).view(np.uint32)
    kept = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    found: np.ndarray = kept.view(np.float32)
    return found


class StateWriter:
    """Writes hidden states of one run into `folder`; use as a context manager.

    Args:
        width: entries of a vector.
        dtype: ``bfloat16``, ``float16`` or ``float32``. Parquet has no bfloat16: values are rounded to it and stored
            as float32, whose lower halves are then zero and take no room.
        kinds: those that are stored; each has a folder, even if there is nothing to store.
    """

    def __init__(self, folder: Path, run: str, width: int, dtype: str, kinds: Sequence[str] = ("output",)) -> None:
        self.folder, self.run, self.dtype, self.kinds = folder, run, dtype, kinds
        self.arrow = pa.float16() if dtype == "float16" else pa.float32()
        self.width = width
        self.schema = schemas.hidden_state_schema(width, self.arrow)
        self.open: dict[tuple[str, int | None], pq.ParquetWriter] = {}
        self.waiting: dict[tuple[str, int | None], list[pa.Table]] = {}
        self._made: tuple[int, Sequence[Position], dict[str, pa.Array]] | None = None

    def __enter__(self) -> StateWriter:
        for kind in self.kinds:
            (self.folder / f"kind={kind}").mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for key in self.waiting if error is None else ():
            self._flush(*key)
        for writer in self.open.values():
            writer.close()

    def append(
        self, kind: str, layer: int | None, checkpoint_step: int, positions: Sequence[Position], vectors: np.ndarray
    ) -> None:
        """Add vectors ``[n, width]`` that belong to `positions`.

        Raises:
            UserError: a value does not fit the storage type.
        """
        if not positions:
            return
        flat = pa.array(self._cast(vectors).reshape(-1), type=self.arrow)
        columns = {
            **self._columns(checkpoint_step, positions),
            "layer": pa.array([layer] * len(positions), pa.int32()),
            "kind": pa.array([kind] * len(positions), pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(flat, self.width),
        }
        waiting = self.waiting.setdefault((kind, layer), [])
        waiting.append(pa.table(columns, schema=self.schema))
        if sum(map(len, waiting)) >= ROW_GROUP:
            self._flush(kind, layer)

    def _flush(self, kind: str, layer: int | None) -> None:
        """Write what waits for a partition as a row group."""
        waiting = self.waiting[kind, layer]
        if waiting:
            self._writer(kind, layer).write_table(pa.concat_tables(waiting))
            waiting.clear()

    def _columns(self, checkpoint_step: int, positions: Sequence[Position]) -> dict[str, pa.Array]:
        """Return the columns that all layers of the same positions share."""
        if self._made is None or self._made[:2] != (checkpoint_step, positions):
            count = len(positions)
            columns = {
                "run": pa.array([self.run] * count, pa.string()),
                "checkpoint_step": pa.array([checkpoint_step] * count, pa.int32()),
            }
            for field in fields(Position):
                values = [getattr(one, field.name) for one in positions]
                columns[field.name] = pa.array(values, self.schema.field(field.name).type)
            self._made = (checkpoint_step, positions, columns)
        return self._made[2]

    def _cast(self, vectors: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            stored = rounded(vectors) if self.dtype == "bfloat16" else vectors.astype(self.dtype)
        if not np.isfinite(stored).all():
            raise UserError(
                "hidden_states.dtype", f"a hidden state does not fit {self.dtype}", "set hidden_states.dtype to float32"
            )
        return stored

    def _writer(self, kind: str, layer: int | None) -> pq.ParquetWriter:
        if (kind, layer) not in self.open:
            name = NO_LAYER if layer is None else layer
            path = self.folder / f"kind={kind}" / f"layer={name}" / "part.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            self.open[kind, layer] = pq.ParquetWriter(
                path,
                self.schema,
                compression="zstd",
                use_dictionary=[field.name for field in self.schema if field.type == pa.string()],
                use_byte_stream_split=["vector.list.element"],  # numbers never repeat, but their exponents do
                write_statistics=False,
                data_page_size=PAGE,
            )
        return self.open[kind, layer]
