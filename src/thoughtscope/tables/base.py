"""What a table is: it reads the folders of many artifacts and returns one data frame."""

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
        READS: the artifacts that it is made from: runs, their hidden states, or probes.
        PROBE_TABLE: of probes, those that write this table.
        DEFAULT: whether a study without `tables:` has it, provided that there is something to make it from.
        COLUMNS: its columns; `tables.identity.as_table` puts those that name a run before them.
        methods: each method's name as tables print it.
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
            UserError: an artifact lacks a file, or the artifacts do not belong into one table.
        """
