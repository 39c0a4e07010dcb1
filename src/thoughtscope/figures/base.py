"""The base of all figures: a figure reads artifact folders into data frames and draws these."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pandas as pd

from thoughtscope import schemas
from thoughtscope.figures.looks import Series
from thoughtscope.kind import Kind

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

    Drawn = tuple[Canvas, pd.DataFrame]


class Figure(Kind):
    """A kind of figure.

    Attributes:
        READS: the artifacts that it is drawn from: runs, their hidden states, or the tables of a probe.
        PROBE_TABLE: if it reads a probe, the name of the table.
        FURTHER: tables that it also draws where probes of the study write them about its runs.
        SERIES: what the legend distinguishes: methods, backbones, or lines (a trainable and a backbone).
        METHODS: whether it prints labels of methods that are not series.
        SHARED: the keys of a run, such as `task`, that are the same in all runs of a figure.
        series: label and look of each series, in the order of the legend.
        methods: label of each method, in order.
        title: above the figure; None: no title.
    """

    READS: ClassVar[Literal["runs", "hidden_states", "probes"]]
    PROBE_TABLE: ClassVar[str] = "evidence"
    FURTHER: ClassVar[tuple[str, ...]] = ()
    SERIES: ClassVar[Literal["methods", "backbones", "lines"] | None] = None
    METHODS: ClassVar[bool] = False
    SHARED: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        settings: Any,
        series: Mapping[str, Series] | None = None,
        methods: Mapping[str, str] | None = None,
        title: str | None = None,
    ) -> None:
        self.settings, self.series, self.methods, self.title = settings, series or {}, methods or {}, title

    def read(self, folders: Sequence[Path]) -> Any:
        """Return the argument of `draw`.

        For runs, this is a frame of their accuracy (`schemas.ACCURACY`), for probes a frame of their tables
        `PROBE_TABLE`. A figure of hidden states overrides this method and calls `hidden_states.read.read_vectors`.
        One with `FURTHER` tables reads those with `further`.

        Raises:
            UserError: a table is missing, or the folders do not belong in one figure.
        """
        if self.READS == "runs":
            return frame([folder / "accuracy.parquet" for folder in folders], schemas.ACCURACY.names)
        if self.READS == "probes":
            return frame([folder / f"tables/{self.PROBE_TABLE}.parquet" for folder in folders])
        return folders

    @abstractmethod
    def draw(self, data: Any) -> Drawn:
        """Return a matplotlib figure and the points in it, which are written as CSV.

        Draw inside `style.applied()` on `style.new_figure(...)`, so that the picture does not depend on a user's
        settings.

        Raises:
            UserError: the data do not belong in one figure.
        """

    @classmethod
    def check(cls, settings: Any, statements: Iterable[Mapping[str, Any]]) -> None:
        """Refuse settings that name something that the probed task lacks; the default refuses nothing.

        Args:
            statements: `schemas.STATEMENTS` of the task whose statements were probed.

        Raises:
            UserError: the task lacks it.
        """


def further(folders: Iterable[Path], table: str) -> pd.DataFrame | None:
    """Return the rows of a table from those folders that have it; None if none has."""
    paths = [path for folder in folders if (path := folder / f"tables/{table}.parquet").is_file()]
    return frame(paths) if paths else None


def frame(paths: Sequence[Path], columns: Sequence[str] = ()) -> pd.DataFrame:
    """Return the concatenated rows of some Parquet files.

    Args:
        columns: the columns that every file must have; all columns are returned.

    Raises:
        UserError: a file is missing or damaged, or lacks a column.
    """
    parts: list[pd.DataFrame] = [schemas.read_any(path, columns).to_pandas() for path in paths]
    return pd.concat(parts, ignore_index=True)
