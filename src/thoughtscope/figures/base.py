"""What a figure is: it reads artifact folders into data frames, and draws those without looking at any file."""

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
        READS: the artifacts that it is drawn from: runs, their hidden states, or a probe's tables.
        PROBE_TABLE: of a probe, the table that is drawn.
        FURTHER: tables that it also draws where probes of the study write them about its runs.
        SERIES: what its legend tells apart: methods, backbones, or lines of a trainable and a backbone.
        METHODS: whether it prints the names of methods that are no series.
        SHARED: what its runs have to agree in: keys of a run such as `task`.
        series: name in the legend and look of each series, in the legend's order.
        methods: each method's name as figures print it, in order.
        title: above the figure, if it has one.
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
        """Return what `draw` takes.

        Of runs and probes one frame: their accuracy (`schemas.ACCURACY`), or the table `PROBE_TABLE` of all. A figure
        of hidden states reads them itself, with `hidden_states.read.read_vectors`, and one with `FURTHER` tables those,
        with `further`.

        Raises:
            UserError: a table is missing, or the folders do not make one figure.
        """
        if self.READS == "runs":
            return frame([folder / "accuracy.parquet" for folder in folders], schemas.ACCURACY.names)
        if self.READS == "probes":
            return frame([folder / f"tables/{self.PROBE_TABLE}.parquet" for folder in folders])
        return folders

    @abstractmethod
    def draw(self, data: Any) -> Drawn:
        """Return a matplotlib figure and the points that it shows; the points become its CSV.

        Draw inside `style.applied()`, on `style.new_figure(...)`, so that everybody gets the same picture.

        Raises:
            UserError: the data do not make one figure.
        """

    @classmethod
    def check(cls, settings: Any, statements: Iterable[Mapping[str, Any]]) -> None:
        """Refuse settings that name something the probed task lacks; by default nothing is refused.

        Args:
            statements: `schemas.STATEMENTS` of the task whose statements were probed.

        Raises:
            UserError: there is no such thing in the task.
        """


def further(folders: Iterable[Path], table: str) -> pd.DataFrame | None:
    """Return the rows of a table from those folders that have it; None if none has."""
    paths = [path for folder in folders if (path := folder / f"tables/{table}.parquet").is_file()]
    return frame(paths) if paths else None


def frame(paths: Sequence[Path], columns: Sequence[str] = ()) -> pd.DataFrame:
    """Return the rows of some Parquet files, one after another.

    Args:
        columns: that every file must have; none: whatever is there.
    """
    parts: list[pd.DataFrame] = [schemas.read_any(path, columns).to_pandas() for path in paths]
    return pd.concat(parts, ignore_index=True)
