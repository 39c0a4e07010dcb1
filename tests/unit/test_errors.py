"""Whatever goes wrong with input or disk ends as one line with a fix, and leaves other files as they were."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from thoughtscope import schemas
from thoughtscope.artifacts import artifact_folder
from thoughtscope.errors import UserError, one_line_errors

ROWS = [{"question": "1 + 1 =", "response": "2"}]


def test_a_full_disk_is_one_line_and_what_was_there_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "made"
    with artifact_folder(kept, {}) as folder:
        (folder / "one.txt").write_text("1")

    @one_line_errors
    def main() -> None:
        with artifact_folder(kept, {}), Path("/dev/full").open("w") as full:
            full.write("x" * 100_000)

    assert main() == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert "No space left on device; make room there, or make it writable, and run again" in said[0]
    assert (kept / "one.txt").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_users_mistake_is_one_line_and_status_two(capsys: pytest.CaptureFixture[str]) -> None:
    @one_line_errors
    def main() -> None:
        raise UserError("file.yaml: key", "it is wrong", "fix it")

    assert main() == 2
    assert capsys.readouterr().err == "error: file.yaml: key: it is wrong; fix it\n"


def test_a_fault_of_the_program_keeps_its_traceback() -> None:
    @one_line_errors
    def main() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        main()


def test_a_table_that_was_cut_short_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    schemas.write(path, schemas.PRETRAINING, ROWS)
    assert schemas.read(path, schemas.PRETRAINING).to_pylist() == ROWS
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="not a whole Parquet file"):
        schemas.read(path, schemas.PRETRAINING)
    with pytest.raises(UserError, match="no such table; run the stage that makes it"):
        schemas.read(tmp_path / "none.parquet", schemas.PRETRAINING)


def test_a_missing_column_and_a_wrong_type_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"question": ["a"]}), path)
    with pytest.raises(UserError, match="column 'response' is missing"):
        schemas.read(path, schemas.PRETRAINING)
    with pytest.raises(UserError, match="columns"):
        schemas.write(path, schemas.PRETRAINING, [{"question": "a"}])
    with pytest.raises(UserError, match="a value does not fit its column"):
        schemas.write(path, schemas.PRETRAINING, [{"question": "a", "response": 3}])
