"""table: questions, steps and answers from files or a hub, by a mapping of columns.

A setting names a column, or has a template of several: `"{Body} {Question}"`. Further test sets are splits named
`test-...`; they are measured once, at the end of a run.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field, model_validator

from thoughtscope import schemas
from thoughtscope.errors import UserError
from thoughtscope.settings import Positive
from thoughtscope.tasks.answers import Tolerance
from thoughtscope.tasks.base import QuestionTask
from thoughtscope.tasks.questions import Columns, Reading, example
from thoughtscope.tasks.reading import Source, collect, read
from thoughtscope.tasks.reasoning import Skipped


class Split(Source):
    """The rows of one split; `columns` and `tolerance` override those of the task."""

    columns: Columns | None = None
    tolerance: Tolerance | None = None


class Settings(QuestionTask, Reading):
    """Questions with steps and answers from tables."""

    SPLITS_MAY_OVERLAP = True

    kind: Literal["table"]
    splits: dict[str, Split] = Field(
        ..., description="train, test, validation (or use hold_out), and further test sets test-..."
    )
    hold_out: Positive | None = Field(
        None, description="number of random rows of train to use as validation, instead of a validation split"
    )
    seed: int = Field(0, description="seed of hold_out")

    @model_validator(mode="after")
    def _splits_are_known(self) -> Settings:
        for name in self.splits:
            if name not in ("train", "validation", "test") and not name.startswith("test-"):
                raise ValueError(f"split {name!r} is none of train, validation, test, test-...")
        if ("validation" in self.splits) == (self.hold_out is not None):
            raise ValueError("give a validation split or hold_out, one of them")
        return self

    def examples(self) -> Iterator[dict[str, Any] | Skipped]:
        """Yield the examples of every split, and what was skipped.

        Raises:
            UserError: a column is missing, a question is empty, a training row has no steps, or an answer cannot be
                read; lists the first such rows with file and column, and counts the others.
        """
        for split, source in self.splits.items():
            reading = self.model_copy(
                update={key: value for key in ("columns", "tolerance") if (value := getattr(source, key)) is not None}
            )
            where = f"task table: splits.{split}"
            rows = collect(read(source, where), where, partial(example, reading=reading, split=split))
            if split == "train" and self.hold_out is not None:
                rows = hold_out(rows, self.hold_out, self.seed)
            number = 0
            for row in rows:
                if isinstance(row, Skipped):
                    yield row
                else:
                    yield {**row, "example_id": f"{split}-{number}"}
                    number += 1


def hold_out(rows: Iterator[dict[str, Any] | Skipped], count: int, seed: int) -> Iterator[dict[str, Any] | Skipped]:
    """Yield all rows, of which `count` random ones are in the split validation.

    Raises:
        UserError: there are at most `count` rows.
    """
    skipped: list[Skipped] = []

    def kept() -> Iterator[dict[str, Any]]:
        for row in rows:
            if isinstance(row, Skipped):
                skipped.append(row)
            else:
                yield {"example_id": "", **row}

    table = pa.Table.from_batches(schemas.batches(schemas.REASONING, kept()), schemas.REASONING)
    if count >= table.num_rows:
        raise UserError("task table: hold_out", f"train has {table.num_rows} rows", "lower it")
    drawn = set(random.Random(seed).sample(range(table.num_rows), count))
    yield from skipped
    number = 0
    for batch in table.to_batches():
        for row in batch.to_pylist():
            yield {**row, "split": "validation" if number in drawn else row["split"]}
            number += 1
