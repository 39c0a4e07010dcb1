"""Two results folders are the same if their content is, whatever their records say."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.tools.compare import differences
from thoughtscope.artifacts import artifact_files, artifact_folder

VECTORS = pa.list_(pa.float32(), 2)


def results(
    folder: Path,
    accuracy: float = 0.5,
    vectors: Iterable[Iterable[float]] = ((1, 2),),
    color: int = 9,
    made: str = "now",
) -> Path:
    with artifact_folder(folder / "runs/a", {"made": made}) as staging:
        table = pa.table({"run": ["a"], "accuracy": [accuracy], "vector": pa.array(list(vectors), VECTORS)})
        pq.write_table(table, staging / "accuracy.parquet")
    with artifact_files(folder / "figures/one.png", provenance={"made": made}) as (picture,):
        text = PngInfo()
        text.add_text("Description", made)
        Image.new("RGB", (4, 4), (color, 0, 0)).save(picture, pnginfo=text)
    with artifact_files(folder / "tables/one.csv", provenance={"made": made}) as (csv,):
        csv.write_text(f"run,accuracy\na,{accuracy}\n")
    return folder


def test_other_times_and_records_are_no_difference(tmp_path: Path) -> None:
    assert list(differences(results(tmp_path / "a"), results(tmp_path / "b", made="later"))) == []


@pytest.mark.parametrize(
    ("change", "tolerance", "told"),
    [
        ({"color": 8}, 0, ["figures/one: one.png: other pixels"]),
        ({"color": 8}, 0.1, []),
        (
            {"accuracy": 0.51},
            0,
            [
                "runs/a: accuracy.parquet: column accuracy differs by up to 0.01",
                "tables/one: one.csv: column accuracy differs by up to 0.01",
            ],
        ),
        ({"accuracy": 0.51}, 0.02, []),
        ({"vectors": [[1, 3]]}, 0.5, ["runs/a: accuracy.parquet: column vector differs by up to 1"]),
    ],
)
def test_each_difference_is_named_and_numbers_have_a_tolerance(
    tmp_path: Path, change: dict[str, float], tolerance: float, told: list[str]
) -> None:
    first, second = results(tmp_path / "a"), results(tmp_path / "b", **change)
    assert list(differences(first, second, tolerance)) == told


def test_what_only_one_folder_has_is_named(tmp_path: Path) -> None:
    first, second = results(tmp_path / "a"), results(tmp_path / "b")
    for path in (second / "tables").iterdir():
        path.unlink()
    assert list(differences(first, second)) == [f"tables/one: only in {first}"]


def test_a_column_of_another_kind_differs_whatever_the_tolerance(tmp_path: Path) -> None:
    first, second = results(tmp_path / "a"), results(tmp_path / "b")
    (second / "tables/one.csv").write_text("run,accuracy\na,high\n")
    assert list(differences(first, second, 9)) == ["tables/one: one.csv: column accuracy differs"]
