"""The base of all tables: a table reads the folders of many artifacts and returns one data frame."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import pandas as pd

from thoughtscope.kind import Kind


class Table(Kind):
    """A kind of table.

    Attributes:
        READS: the artifacts that the table is made from: runs, their hidden states, or probes.
        PROBE_TABLE: if it reads probes, the name of their table; probes without this table are left out.
        DEFAULT: whether a study that does not name the table has it, too, if there are artifacts to make it from.
        COLUMNS: its columns, after those that name a run; see `tables.identity.as_table`.
        methods: the label of each method.
    """

    READS: ClassVar[Literal["runs", "hidden_states", "probes"]]
    COLUMNS: ClassVar[Sequence[str]]
    PROBE_TABLE: ClassVar[str] = "evidence"
    DEFAULT: ClassVar[bool] = False

    def __init__(self, settings: Any, methods: Mapping[str, str] | None = None) -> None:
        self.settings, self.methods = settings, methods or {}

    @abstractmethod
    def make(self, folders: Sequence[Path]) -> pd.DataFrame:
        """Return the table of these artifact folders.

        Raises:
            UserError: an artifact lacks a file, or the artifacts do not belong in one table.
        """
