"""Streams vectors to Parquet, one open file a partition, so that memory does not grow with their number.

    kind=output/layer=3/part.parquet

Knows nothing about models. bf16 values that overflow float16 would become inf: they are refused where
float16 was asked for a float32 model, and a bf16 model's states are stored as float32 (see `storage_type`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from thoughtscope import tables
from thoughtscope.errors import UserError

NO_LAYER = "none"
GENERATIONS, SURPRISALS = "generations.parquet", "surprisals.parquet"


@dataclass(frozen=True)
class Position:
    """One stored position of a sequence.

    Args:
        latent_index: 1 for the first latent of a response, None for text.
        position: in the whole sequence, counted from 0.
    """

    example_id: str
    position: int
    latent_index: int | None
    token_id: int
    token: str


def storage_type(asked: str, computed: str) -> str:
    """Return the type to store: bf16 has a wider range than float16, so its states are kept as float32."""
    return "float32" if computed == "bfloat16" else asked


class StateWriter:
    """Writes hidden states of one run into `folder`; use as a context manager.

    Args:
        width: entries of a vector.
        dtype: ``float16`` or ``float32``.
    """

    def __init__(self, folder: Path, run: str, width: int, dtype: str) -> None:
        self.folder, self.run, self.dtype = folder, run, dtype
        self.arrow = pa.float16() if dtype == "float16" else pa.float32()
        self.width = width
        self.schema = tables.hidden_state_schema(width, self.arrow)
        self.open: dict[tuple[str, int | None], pq.ParquetWriter] = {}

    def __enter__(self) -> StateWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
        stored = self._cast(vectors)
        n = len(positions)
        flat = pa.array(stored.reshape(-1), type=self.arrow)
        columns = {
            "run": pa.array([self.run] * n, pa.string()),
            "checkpoint_step": pa.array([checkpoint_step] * n, pa.int32()),
            "example_id": pa.array([one.example_id for one in positions], pa.string()),
            "position": pa.array([one.position for one in positions], pa.int32()),
            "latent_index": pa.array([one.latent_index for one in positions], pa.int32()),
            "token_id": pa.array([one.token_id for one in positions], pa.int32()),
            "token": pa.array([one.token for one in positions], pa.string()),
            "layer": pa.array([layer] * n, pa.int32()),
            "kind": pa.array([kind] * n, pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(flat, self.width),
        }
        self._writer(kind, layer).write_table(pa.table(columns, schema=self.schema))

    def _cast(self, vectors: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            stored = vectors.astype(self.dtype)
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
            self.open[kind, layer] = pq.ParquetWriter(path, self.schema)
        return self.open[kind, layer]
