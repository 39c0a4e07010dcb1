"""Reads rows of a dataset from local files or a hub; every value comes as it stands there. Knows no task."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import Field, model_validator

from thoughtscope.errors import UserError
from thoughtscope.hub import hub_error
from thoughtscope.settings import Commit, Positive, Strict

Row = dict[str, Any]


class Source(Strict):
    """Where rows come from: files, or a dataset of a hub at a pinned revision."""

    path: str | None = Field(None, description="a JSONL, JSON, CSV or Parquet file, or a pattern of several")
    hub_id: str | None = Field(None, description="instead: owner/name of a dataset")
    name: str | None = Field(None, description="hub: its configuration")
    part: str = Field("train", description="hub: its split")
    revision: Commit | None = Field(None, description="hub: the commit to load; null: the one that `make pin` found")
    limit: Positive | None = Field(None, description="take only so many rows, from the beginning")

    @model_validator(mode="after")
    def _one_place(self) -> Source:
        if (self.path is None) == (self.hub_id is None):
            raise ValueError("give path or hub_id, one of them")
        return self


def read(source: Source, where: str) -> Iterator[tuple[str, Row]]:
    """Yield each row with its place (`file:number`), for messages.

    Raises:
        UserError: no file, a file of another kind or one that does not parse, or a hub that refuses.
    """
    rows = _from_hub(source, where) if source.path is None else _from_files(source.path, where)
    for count, found in enumerate(rows):
        if source.limit is not None and count >= source.limit:
            return
        yield found


def _from_files(pattern: str, where: str) -> Iterator[tuple[str, Row]]:
    files = sorted(map(str, Path().glob(pattern) if not Path(pattern).is_absolute() else Path("/").glob(pattern[1:])))
    if not files:
        raise UserError(f"{where}: path", f"no file matches {pattern}", "correct the path")
    for file in files:
        reader = READERS.get(Path(file).suffix)
        if reader is None:
            raise UserError(f"{where}: path", f"{file} is of no known kind", f"use one of {', '.join(READERS)}")
        try:
            for number, row in enumerate(reader(Path(file)), start=1):
                if not isinstance(row, dict):
                    raise UserError(f"{file}:{number}", "it is no mapping of columns", "write one object a row")
                yield f"{file}:{number}", row
        except (ValueError, UnicodeDecodeError, OSError) as error:
            raise UserError(file, f"it does not parse ({error})", "correct the file") from error


def _lines(path: Path) -> Iterator[Any]:
    with path.open() as file:
        yield from (json.loads(line) for line in file if line.strip())


def _list(path: Path) -> Iterator[Any]:
    yield from json.loads(path.read_text())


def _cells(path: Path) -> Iterator[Any]:
    with path.open(newline="") as file:
        yield from csv.DictReader(file)


def _columns(path: Path) -> Iterator[Any]:
    yield from pq.read_table(path).to_pylist()


READERS: dict[str, Callable[[Path], Iterator[Any]]] = {
    ".jsonl": _lines, ".json": _list, ".csv": _cells, ".parquet": _columns,
}  # fmt: skip


def _from_hub(source: Source, where: str) -> Iterator[tuple[str, Row]]:
    from datasets import load_dataset  # slow to import, and seldom needed

    try:
        loaded = load_dataset(source.hub_id, source.name, split=source.part, revision=source.revision)
    except Exception as error:
        raise hub_error(f"{where}: hub_id", str(source.hub_id), source.revision, error) from error
    for number, row in enumerate(loaded, start=1):
        yield f"{source.hub_id}:{number}", dict(row)
