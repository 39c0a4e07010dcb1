"""What a probe is: it reads hidden states or a trained run, and writes Parquet tables; `evidence` holds its tests."""

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
    """A kind of probe, fitted once for each run, or once for a backbone that reads a task (`statements`).

    Attributes:
        READS: what it is fitted on: the hidden states of a run's latents or of statements, or the run itself with its
            model (`runs`).
        TABLES: the columns of each table that it writes, without those that name what was probed. A table `evidence`
            also has the columns `schemas.EVIDENCE`, and its rows are in `probes.csv`.
    """

    READS: ClassVar[Literal["latents", "statements", "runs"]]
    TABLES: ClassVar[Mapping[str, Sequence[tuple[str, pa.DataType]]]]

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @abstractmethod
    def fit(self, source: Path, examples: list[dict[str, Any]]) -> Mapping[str, Rows]:
        """Return the rows of each table.

        Args:
            source: a folder of hidden states (see `hidden_states.read`), or of a run.
            examples: the examples of the task: `schemas.REASONING` or `schemas.STATEMENTS`.

        Raises:
            UserError: the source or the examples do not suffice to fit the probe.
        """

    @classmethod
    def schema(cls, table: str) -> pa.Schema:
        """Return all columns of a table: the probe, what it was fitted to, its own columns, and those of evidence."""
        named = schemas.STATEMENTS_READ if cls.READS == "statements" else schemas.RUN
        evidence = schemas.EVIDENCE if table == EVIDENCE else ()
        return pa.schema([("probe", pa.string()), *named, *cls.TABLES[table], *evidence])
