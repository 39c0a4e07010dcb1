"""Rows of files as users have them: encodings, broken lines, quotes, arrays, and what is said of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from thoughtscope.errors import UserError
from thoughtscope.tasks.reading import Source, collect, read

ROWS = [{"question": "Où est-ce?", "answer": "1"}, {"question": "Wie groß?", "answer": "2"}]
CSV = "question,answer\r\nOù est-ce?,1\r\nWie groß?,2\r\n"
JSONL = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


def found(path: Path, **changes: Any) -> list[tuple[str, Any]]:
    """Return all rows with their places, which are told without the folder."""
    rows = read(Source(path=str(path), **changes), "here")
    return [(place.removeprefix(f"{path.parent}/"), row) for place, row in rows]


def message(path: Path, **changes: Any) -> str:
    """Return the one line that a file is refused with."""
    with pytest.raises(UserError) as caught:
        list(collect(read(Source(path=str(path), **changes), "here"), "here", lambda _, row: row))
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{path.parent}/", "")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize(("name", "text"), [("a.csv", CSV), ("a.jsonl", JSONL), ("a.json", json.dumps(ROWS))])
def test_a_byte_order_mark_is_no_part_of_the_data(tmp_path: Path, name: str, text: str, encoding: str) -> None:
    (tmp_path / name).write_bytes(text.encode(encoding))
    assert [row for _, row in found(tmp_path / name)] == ROWS


@pytest.mark.parametrize(("name", "text"), [("a.csv", CSV), ("a.jsonl", JSONL)])
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "mac-roman"])
def test_another_encoding_is_declared(tmp_path: Path, name: str, text: str, encoding: str) -> None:
    (tmp_path / name).write_bytes(text.encode(encoding))
    assert [row for _, row in found(tmp_path / name, encoding=encoding)] == ROWS


def test_bytes_that_are_not_of_the_encoding_are_located(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"question,answer\ngood,1\nO\xf9,2\n")
    assert message(path) == (
        "a.csv:3: byte 24 (0xf9) is not utf-8; save it as UTF-8, or set encoding, e.g. encoding: latin-1"
    )
    with pytest.raises(ValidationError, match="no text encoding 'klingon'"):
        Source(path="a.csv", encoding="klingon")
    with pytest.raises(ValidationError, match="no text encoding 'base64'"):
        Source(path="a.csv", encoding="base64")


def test_broken_lines_are_named_by_their_numbers_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n\n\n{"a": \n{"a": 3}\n[1]\n')
    assert message(path) == (
        "here: 2 rows cannot be used: a.jsonl:4: it is no JSON that can be read: Expecting value at column 6, "
        "a.jsonl:6: it is a list, not an object; correct the line"
    )
    assert [row for _, row in found(path) if isinstance(row, dict)] == [{"a": 1}, {"a": 3}], "the others are read"


def test_five_broken_lines_are_named_and_the_others_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("x\n" * 1000)
    told = message(path)
    assert told.startswith("here: 1000 rows cannot be used: a.jsonl:1: ")
    assert "a.jsonl:5: " in told
    assert "a.jsonl:6" not in told
    assert "and 995 more; " in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "a": 2}', "key 'a' occurs twice in an object"),
        ("[" * 100_000, "it is no JSON that can be read"),
        ('{"a": ' + "9" * 5000 + "}", "it is no JSON that can be read"),
        ("5", "it is no mapping of columns; write one object a row"),
        ("null", "it is no mapping of columns"),
    ],
)
def test_lines_that_parse_to_no_row_are_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.jsonl").write_text(text + "\n")
    told = message(tmp_path / "a.jsonl")
    assert words in told
    assert "a.jsonl:1" in told


def test_arrays_and_objects_one_after_the_other_are_read_from_json(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for text in (json.dumps(ROWS), json.dumps(ROWS, indent=2), f" {json.dumps(ROWS)}\n\n", JSONL):
        path.write_text(text)
        assert found(path) == [("a.json: row 1", ROWS[0]), ("a.json: row 2", ROWS[1])]
    path.write_text("[]")
    assert found(path) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"a": 1},\n{"a": }]', "a.json:2: it is no JSON that can be read: Expecting value at column 7"),
        ('[{"a": 1}\n{"a": 2}]', "a.json:2: it is no JSON that can be read: Expecting ',' delimiter at column 1"),
        ('[{"a": 1}', "a.json: the array does not end; complete the file"),
        ("[1, 2]", "2 rows cannot be used: a.json: row 1: it is no mapping of columns"),
        ('[{"a": 1}] [', "something follows the array"),
        ("[" * 100_000, "it is no JSON that can be read"),
    ],
)
def test_a_broken_array_is_located(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.json").write_text(text)
    assert words in message(tmp_path / "a.json")


def test_a_field_may_be_of_any_length_and_hold_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    long = "x" * 1_000_000
    path.write_text(f'question,answer\n"{long}",1\n"two\nlines, one cell",2\nlast,3\n')
    rows = found(path)
    assert [place for place, _ in rows] == ["a.csv:2", "a.csv:3", "a.csv:5"]
    assert rows[0][1]["question"] == long
    assert rows[1][1]["question"] == "two\nlines, one cell"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n3\n", "a.csv:3: it has 1 cells, the header names 2; complete the row"),
        ("a,b\n1,2,3\n", "a.csv:2: it has 3 cells, the header names 2"),
        ("a,b,a\n1,2,3\n", "a.csv:1: column 'a' occurs twice in the header; rename one of them"),
        ('a,b\n1,2\n"3,4\n5,6\n7,8\n', "a.csv:3: it is no CSV (unexpected end of data); correct the quotes"),
        ('a,b\n"1"2,3\n', "a.csv:2: it is no CSV"),
    ],
)
def test_a_broken_csv_is_located(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    assert words in message(tmp_path / "a.csv")


def test_blank_lines_of_a_csv_count_as_lines_and_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n\n1,2\n\n\n3,4\n")
    assert [place for place, _ in found(path)] == ["a.csv:3", "a.csv:6"]
    path.write_text("")
    assert found(path) == []


def test_parquet_is_read_and_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    assert found(path) == [("a.parquet: row 1", ROWS[0]), ("a.parquet: row 2", ROWS[1])]
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    assert "column 'a' occurs twice" in message(path)
    path.write_bytes(b"PAR1 and no more")
    assert message(path).startswith("a.parquet: it cannot be read")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.parquet"])
def test_a_folder_in_place_of_a_file_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert message(tmp_path / name).startswith(f"{name}: it cannot be read")


def test_limit_takes_rows_from_the_beginning_and_reads_no_further(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\nbroken\n')
    assert [row for _, row in found(path, limit=2)] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("part", ["train+test", ["train", "test"]])
def test_parts_of_a_hub_dataset_are_joined(tmp_path: Path, part: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in the form of the hub's stands for one: the library that reads both is the same."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for name, numbers in (("train", [0, 1]), ("test", [2])):
        (tmp_path / "set/data").mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"n": numbers}), tmp_path / f"set/data/{name}-00000-of-00001.parquet")
    rows = list(read(Source(hub_id=str(tmp_path / "set"), part=part), "here"))
    assert [row for _, row in rows] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert rows[2][0].endswith("set: row 3")
