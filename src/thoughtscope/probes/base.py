"""The base of all probes: a probe reads stored hidden states and writes Parquet tables, one of which is `evidence`."""

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
    """A kind of probe. It is fitted to each of several runs, or to a backbone that reads the statements of a task.

    Attributes:
        READS: the hidden states that it is fitted to: `latents` of runs, or `statements` read by a backbone.
        TABLES: the columns of each table that it writes, except those that `schema` adds. The table `evidence` is
            required; `probes.csv` lists its rows.
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
            examples: the examples of the task: `schemas.REASONING` or `schemas.STATEMENTS`.

        Raises:
            UserError: the states or the examples do not suffice to fit the probe.
        """

    @classmethod
    def schema(cls, table: str) -> pa.Schema:
        """Return all columns of a table: the probe, what it was fitted to, its own columns, and those of evidence."""
        named = schemas.RUN if cls.READS == "latents" else schemas.STATEMENTS_READ
        evidence = schemas.EVIDENCE if table == EVIDENCE else ()
        return pa.schema([("probe", pa.string()), *named, *cls.TABLES[table], *evidence])
