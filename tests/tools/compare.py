"""Compares two results folders: are tables, figures and models that were made twice the same?

Times and speeds stand in `benchmarks`, logs and `times.json`, which are not compared. A picture is compared by its
pixels, as PNG: the provenance inside may differ.

    python -m tests.tools.compare results elsewhere/results --tolerance 0
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from thoughtscope.artifacts import sha256
from thoughtscope.errors import UserError, one_line_errors
from workflow.lib.found import Found, found

TIMES = "times.json"  # how long a run's answers took
TABLES, PICTURES, OTHER_FORMS = {".parquet", ".csv"}, {".png"}, {".pdf", ".svg"}


def differences(first: Path, second: Path, tolerance: float = 0.0) -> Iterator[str]:
    """Yield what differs between the artifacts of two results folders; what only one has is told apart.

    Args:
        tolerance: largest difference of two numbers of a table; above 0, files that are no table are not compared,
            since weights and pixels have no tolerance.
    """
    ones, others = ({one.name: one for one in found(folder)} for folder in (first, second))
    for name in sorted(ones.keys() ^ others.keys()):
        yield f"{name}: only in {first if name in ones else second}"
    for name in sorted(ones.keys() & others.keys()):
        yield from _artifact(name, ones[name], others[name], tolerance)


def _artifact(name: str, one: Found, other: Found, tolerance: float) -> Iterator[str]:
    files, others = ({file: size for file, size in each.files().items() if file != TIMES} for each in (one, other))
    for file in sorted(files.keys() ^ others.keys()):
        yield f"{name}: {file} is only in one of them"
    for file in sorted(files.keys() & others.keys()):
        problem = _file(one.base / file, other.base / file, tolerance)
        if problem:
            yield f"{name}: {file}: {problem}"


def _file(first: Path, second: Path, tolerance: float) -> str | None:
    """Return how two files differ, None if they do not."""
    if sha256(first) == sha256(second):
        return None
    if first.suffix in TABLES:
        return _table(_read(first), _read(second), tolerance)
    if tolerance or first.suffix in OTHER_FORMS:
        return None
    if first.suffix in PICTURES:
        return None if pixels(first) == pixels(second) else "other pixels"
    return "other content"


def _read(path: Path) -> pa.Table:
    return pq.read_table(path) if path.suffix == ".parquet" else pa.Table.from_pandas(pd.read_csv(path))


def pixels(path: Path) -> bytes:
    """Return a picture's decoded pixels, red, green, blue and alpha."""
    with Image.open(path) as image:
        return image.convert("RGBA").tobytes()


def _table(first: pa.Table, second: pa.Table, tolerance: float) -> str | None:
    if first.column_names != second.column_names or first.num_rows != second.num_rows:
        return "other columns or another number of rows"
    for name in first.column_names:
        if first[name].equals(second[name]):
            continue
        distance = _distance(first[name], second[name])
        if distance is None or distance > tolerance:
            far = "" if distance is None else f" by up to {distance:.3g}"
            return f"column {name} differs{far}"
    return None


def _distance(first: pa.ChunkedArray, second: pa.ChunkedArray) -> float | None:
    """Return the largest difference of two columns of numbers or vectors; None if they are of another kind."""
    while all(pa.types.is_fixed_size_list(one.type) or pa.types.is_list(one.type) for one in (first, second)):
        first, second = first.combine_chunks().flatten(), second.combine_chunks().flatten()
        if len(first) != len(second):
            return None
    if not all(pa.types.is_floating(one.type) or pa.types.is_integer(one.type) for one in (first, second)):
        return None
    one, other = (np.asarray(column.to_numpy(zero_copy_only=False), dtype=float) for column in (first, second))
    if not np.array_equal(np.isnan(one), np.isnan(other)):
        return None
    return float(np.nanmax(np.abs(one - other), initial=0.0))


@one_line_errors
def main() -> int:
    """Name every difference; end with 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=Path, help="a results folder")
    parser.add_argument("second", type=Path, help="another")
    parser.add_argument("--tolerance", type=float, default=0.0, help="largest difference of two numbers of a table")
    arguments = parser.parse_args()
    for folder in (arguments.first, arguments.second):
        if not found(folder):
            raise UserError(str(folder), "no artifacts there", "name a results folder")
    told = list(differences(arguments.first, arguments.second, arguments.tolerance))
    print("\n".join([*told, f"{len(told)} differences" if told else "the same"]))
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
