"""Reads rows of a dataset from local files or a hub, without changing any value."""

from __future__ import annotations

import codecs
import csv
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, field_validator, model_validator

from thoughtscope.errors import UserError
from thoughtscope.hub import hub_error
from thoughtscope.settings import Commit, Hosted, OneOrMany, Positive

T = TypeVar("T")
Row = dict[str, Any]
NAMED = 5  # the number of unusable rows that a message lists
BYTE_ORDER_MARKS = {  # UTF-32 first: its mark starts with that of UTF-16
    codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip


class Source(Hosted):
    """Where rows come from: local files, or a dataset of a hub at a pinned revision."""

    path: str | None = Field(None, description="a JSONL, JSON, CSV or Parquet file, or a pattern of several")
    encoding: str = Field("utf-8", description="of text files without a byte-order mark, e.g. latin-1")
    hub_id: str | None = Field(None, description="instead: owner/name of a dataset")
    name: str | None = Field(None, description="hub: its configuration")
    part: OneOrMany[str] = Field("train", description="hub: its split, or several one after the other")
    revision: Commit | None = Field(None, description="hub: the commit to load; null: the one that `make pin` found")
    limit: Positive | None = Field(None, description="read only this many rows, from the start")

    @field_validator("encoding")
    @classmethod
    def _encoding_is_known(cls, encoding: str) -> str:
        try:
            "".encode(encoding)
        except LookupError as error:
            raise ValueError(f"no text encoding {encoding!r}: use utf-8, latin-1, cp1252, utf-16, ...") from error
        return encoding

    @model_validator(mode="after")
    def _one_place(self) -> Source:
        if (self.path is None) == (self.hub_id is None):
            raise ValueError("give path or hub_id, one of them")
        return self


def read(source: Source, where: str) -> Iterator[tuple[str, Row | UserError]]:
    """Yield each row with its place: `file:line`, or `file: row 3` in files that are not organised in lines.

    A broken row is yielded as an error instead of raising it, so that the rows after it are read, too.

    Args:
        where: the settings of the source, for messages.

    Raises:
        UserError: there is no such file, its type is unknown, it cannot be read at all, or the hub refuses access.
    """
    rows = _from_hub(source, where) if source.path is None else _from_files(source.path, source.encoding, where)
    for place, row in islice(rows, source.limit):
        yield place, row if isinstance(row, dict | UserError) else _no_mapping(place, row)


def collect(rows: Iterable[tuple[str, Any]], where: str, make: Callable[[str, Any], T]) -> Iterator[T]:
    """Apply `make` to the place and the content of each row that `read` yields.

    Raises:
        UserError: after the last row, if any is broken or `make` raises a `UserError` for it; lists the first five.
    """
    refused: list[UserError] = []
    count = 0
    for place, row in rows:
        try:
            if isinstance(row, UserError):
                raise row
            made = make(place, row)
        except UserError as error:
            count += 1
            refused += [error] if len(refused) < NAMED else []
            continue
        yield made
    if refused:
        raise _together(where, refused, count)


def _together(where: str, refused: Sequence[UserError], count: int) -> UserError:
    if count == 1:
        return refused[0]
    named = ", ".join(f"{one.where}: {one.problem}" for one in refused)
    more = f", and {count - len(refused)} more" if count > len(refused) else ""
    return UserError(where, f"{count} rows cannot be used: {named}{more}", refused[0].fix)


def _no_mapping(place: str, row: Any) -> UserError:
    if isinstance(row, list):
        return UserError(place, "it is a list, not an object", "write one object a line, or name a JSON array .json")
    return UserError(place, "it is no mapping of columns", "write one object a row")


def _from_files(pattern: str, encoding: str, where: str) -> Iterator[tuple[str, Any]]:
    files = sorted(map(str, Path().glob(pattern) if not Path(pattern).is_absolute() else Path("/").glob(pattern[1:])))
    if not files:
        raise UserError(f"{where}: path", f"no file matches {pattern}", "correct the path")
    for file in files:
        reader = READERS.get(Path(file).suffix)
        if reader is None:
            raise UserError(f"{where}: path", f"{file} is of no known kind", f"use one of {', '.join(READERS)}")
        try:
            yield from reader(Path(file), _encoding(Path(file), encoding))
        except UnicodeError as error:
            raise _undecodable(Path(file), encoding) from error
        except (pa.ArrowException, OSError) as error:
            raise UserError(file, f"it cannot be read ({error})", "correct the file") from error


def _encoding(path: Path, declared: str) -> str:
    """Return the encoding of a file: that of its byte-order mark if it has one, else the declared one."""
    with path.open("rb") as file:
        start = file.read(4)
    return next((name for mark, name in BYTE_ORDER_MARKS.items() if start.startswith(mark)), declared)


def _undecodable(path: Path, declared: str) -> UserError:
    """Return the error for the first byte that is invalid in the encoding of the file."""
    data, encoding = path.read_bytes(), _encoding(path, declared)
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        byte = f"byte {error.start} (0x{data[error.start]:02x})"
        return UserError(
            f"{path}:{line}", f"{byte} is not {encoding}", "save it as UTF-8, or set encoding, e.g. encoding: latin-1"
        )
    return UserError(str(path), f"it is not {encoding}", "save it as UTF-8, or set encoding")


def _unique(pairs: list[tuple[str, Any]]) -> Row:
    """Return a JSON object; refuse a repeated key, which would hide a value."""
    row = dict(pairs)
    if len(row) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"key {twice!r} occurs twice in an object")
    return row


JSON = json.JSONDecoder(object_pairs_hook=_unique)


def _broken(place: str, error: ValueError | RecursionError) -> UserError:
    problem = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
    return UserError(place, f"it is no JSON that can be read: {problem}", "correct the line")


def _lines(path: Path, encoding: str) -> Iterator[tuple[str, Any]]:
    with path.open(encoding=encoding) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                place = f"{path}:{number}"
                try:
                    yield place, JSON.decode(line.rstrip())
                except (ValueError, RecursionError) as error:
                    yield place, _broken(place, error)


def _values(path: Path, encoding: str) -> Iterator[tuple[str, Any]]:
    """Yield the elements of a JSON array, or concatenated objects, one at a time."""
    text = path.read_text(encoding=encoding)
    end = _skip(text, 0)
    array = text[end : end + 1] == "["
    end = _skip(text, end + 1) if array else end
    number = 0
    while end < len(text) and not (array and text[end] == "]"):
        number += 1
        try:
            if array and number > 1:
                end = _skip(text, _comma(text, end))
            value, end = JSON.raw_decode(text, end)
        except (ValueError, RecursionError) as error:
            line = text.count("\n", 0, error.pos if isinstance(error, json.JSONDecodeError) else end) + 1
            yield f"{path}:{line}", _broken(f"{path}:{line}", error)
            return
        yield f"{path}: row {number}", value
        end = _skip(text, end)
    if array and text[end : end + 1] != "]":
        yield str(path), UserError(str(path), "the array does not end", "complete the file")
    elif array and text[end + 1 :].strip():
        yield str(path), UserError(str(path), "something follows the array", "write one array, or one object a line")


def _skip(text: str, start: int) -> int:
    found = json.decoder.WHITESPACE.match(text, start)  # type: ignore[attr-defined]
    return int(found.end())


def _comma(text: str, place: int) -> int:
    if text[place] != ",":
        raise json.JSONDecodeError("Expecting ',' delimiter", text, place)
    return place + 1


def _cells(path: Path, encoding: str) -> Iterator[tuple[str, Any]]:
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding=encoding, newline="") as file:
        records = csv.reader(
            file, strict=True
        )  # strict: an unclosed quote is an error instead of taking in the rest of the file
        header: list[str] | None = None
        start = 1
        while True:
            try:
                cells = next(records, None)
            except csv.Error as error:
                yield f"{path}:{start}", UserError(f"{path}:{start}", f"it is no CSV ({error})", "correct the quotes")
                return
            if cells is None:
                return
            place, start = f"{path}:{start}", records.line_num + 1
            if header is None:
                header = cells
                twice = [name for name, count in Counter(header).items() if count > 1]
                if twice:
                    raise UserError(place, f"column {twice[0]!r} occurs twice in the header", "rename one of them")
            elif len(cells) == len(header):
                yield place, dict(zip(header, cells, strict=True))
            elif cells:
                problem = f"it has {len(cells)} cells, the header names {len(header)}"
                yield place, UserError(place, problem, "complete the row, or quote cells that hold commas")


def _columns(path: Path, encoding: str) -> Iterator[tuple[str, Any]]:
    del encoding  # Parquet files state their encoding
    with pq.ParquetFile(path) as file:
        twice = [name for name, count in Counter(file.schema_arrow.names).items() if count > 1]
        if twice:
            raise UserError(str(path), f"column {twice[0]!r} occurs twice", "rename one of them")
        number = 0
        for batch in file.iter_batches(batch_size=10_000):
            for row in batch.to_pylist():
                number += 1
                yield f"{path}: row {number}", row


READERS: dict[str, Callable[[Path, str], Iterator[tuple[str, Any]]]] = {
    ".jsonl": _lines, ".json": _values, ".csv": _cells, ".parquet": _columns,
}  # fmt: skip


def _from_hub(source: Source, where: str) -> Iterator[tuple[str, Any]]:
    from datasets import load_dataset  # slow to import and rarely needed

    part = source.part if isinstance(source.part, str) else "+".join(source.part)
    try:
        loaded = load_dataset(source.hub_id, source.name, split=part, revision=source.revision)
    except Exception as error:
        raise hub_error(f"{where}: hub_id", str(source.hub_id), source.revision, error) from error
    for number, row in enumerate(loaded, start=1):
        yield f"{source.hub_id}: row {number}", dict(row)
