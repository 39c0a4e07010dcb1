"""What a probe is: it reads stored hidden states and writes Parquet tables, of which `evidence` holds its tests."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa

from thoughtscope import schemas
from thoughtscope.kind import Kind

EVIDENCE = "evidence"
Rows = Iterable[Mapping[str, Any]]


class Probe(Kind):
    """A kind of probe, fitted once for each run (`latents`), or once for a backbone that reads a task (`statements`).

    Attributes:
        READS: the hidden states that it is fitted on: of a run's latents, or of statements.
        TABLES: the columns of each table that it writes, without those that name what was probed. The table `evidence`
            is needed: its rows stand in `probes.csv`, together with the columns `schemas.EVIDENCE`, which it has too.
    """

    READS: ClassVar[Literal["latents", "statements"]]
    TABLES: ClassVar[Mapping[str, Sequence[tuple[str, pa.DataType]]]]

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @abstractmethod
    def fit(self, states: Path, examples: list[dict[str, Any]]) -> Mapping[str, Rows]:
        """Return the rows of each table.

        Args:
            states: a folder of hidden states; see `hidden_states.read`.
            examples: the rows of its task: `schemas.REASONING` or `schemas.STATEMENTS`.
        """

    @classmethod
    def schema(cls, table: str) -> pa.Schema:
        """Return all columns of a table: what was probed by which probe, its own, and those of evidence."""
        named = schemas.RUN if cls.READS == "latents" else schemas.STATEMENTS_READ
        evidence = schemas.EVIDENCE if table == EVIDENCE else ()
        return pa.schema([("probe", pa.string()), *named, *cls.TABLES[table], *evidence])
