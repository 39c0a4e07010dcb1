"""Writes the examples, pre-training texts and report of any task, and checks each example."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from thoughtscope import schemas
from thoughtscope.artifacts import write_json
from thoughtscope.errors import UserError
from thoughtscope.tasks.base import BaseTask, QuestionTask
from thoughtscope.tasks.overlap import overlaps
from thoughtscope.tasks.reasoning import Skipped, response_text

EXAMPLES, PRETRAINING, REPORT = "task.parquet", "pretraining.parquet", "report.json"


def write_task(name: str, task: BaseTask, folder: Path) -> dict[str, int]:
    """Write the tables and the report of a task into `folder`, and return the number of examples in each split.

    Rows are written one by one, so that a large dataset is never in memory as Python objects.

    Args:
        name: of the task, for messages.

    Raises:
        UserError: the dataset cannot be read, an example fails a check, or half of the validation questions are also
            in a test set.
    """
    where, examples = f"task {name}", folder / EXAMPLES
    sizes: Counter[str] = Counter()
    skipped: Counter[tuple[str, str]] = Counter()

    def rows() -> Iterator[dict[str, Any]]:
        for row in task.examples():
            if isinstance(row, Skipped):
                skipped[row.split, row.reason] += 1
            else:
                sizes[row["split"]] += 1
                yield {**task.DEFAULTS, **row}

    schemas.write(examples, task.COLUMNS, task.checks(where).checked(rows()))
    texts = task.pretraining_texts()
    schemas.write(folder / PRETRAINING, schemas.PRETRAINING, training_texts(examples) if texts is None else texts)
    report: dict[str, Any] = {}
    if isinstance(task, QuestionTask):
        report["answers"] = answers(pq.read_table(examples, columns=["split", "answer", "steps"]))
    if skipped:
        report["skipped"] = {split: {} for split, _ in skipped}
        for (split, reason), count in skipped.items():
            report["skipped"][split][reason] = count
    if (chance := task.chance()) is not None:
        report["chance"] = chance
    if task.SPLITS_MAY_OVERLAP:
        report["overlap"] = mark_overlap(where, examples)
    write_json(folder / REPORT, report)
    return dict(sizes)


def training_texts(path: Path) -> Iterator[dict[str, str]]:
    """Yield the questions and responses of a written task's training examples."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=10_000, columns=["split", "question", "steps", "answer"]):
            for row in batch.to_pylist():
                if row["split"] == "train":
                    yield {"question": row["question"], "response": response_text(row["steps"], row["answer"])}


def answers(table: pa.Table) -> dict[str, dict[str, Any]]:
    """Return for each split the accuracy of constant answers, and how many examples have no steps.

    best_constant is that of the most frequent answer of the split, train_constant that of the most frequent answer of
    train.
    """
    of = {split: Counter[str]() for split in table["split"].unique().to_pylist()}
    without = Counter[str]()
    for batch in table.to_batches():
        splits = batch["split"].to_pylist()
        for split, answer, steps in zip(splits, batch["answer"].to_pylist(), batch["steps"].to_pylist(), strict=True):
            of[split][answer] += 1
            without[split] += not steps
    [(usual, _)] = of["train"].most_common(1)
    return {
        split: {
            "examples": found.total(),
            "without_steps": without[split],
            "different": len(found),
            "best_constant": found.most_common(1)[0][1] / found.total(),
            "train_constant": found[usual] / found.total(),
        }
        for split, found in of.items()
    }


def mark_overlap(where: str, path: Path) -> dict[str, dict[str, int]]:
    """Fill the column `overlap` of a written task, and return the counts of each split except train.

    Raises:
        UserError: half or more of the questions of validation, or of a test set, are in both.
    """
    table = pq.read_table(path)
    splits = table["split"].to_pylist()
    questions = table["question"]
    places: dict[str, list[int]] = {}
    for place, split in enumerate(splits):
        places.setdefault(split, []).append(place)
    asked = {split: questions.take(pa.array(chosen)).to_pylist() for split, chosen in places.items()}
    found = overlaps(asked)
    for split, one in found.items():
        shared, smaller = one.counts["in_validation"], min(len(places["validation"]), len(places[split]))
        if 2 * shared >= smaller:
            raise UserError(
                f"{where}: splits.validation",
                f"it has {shared} questions of {split}, so the test would decide when stages end",
                "name other rows, or hold_out some of train",
            )
    labels: list[str | None] = [None] * len(splits)
    for split, one in found.items():
        for place, label in zip(places[split], one.labels, strict=True):
            labels[place] = label
    column = table.schema.get_field_index("overlap")
    pq.write_table(table.set_column(column, "overlap", pa.array(labels, pa.string())), path)
    return {split: one.counts for split, one in found.items()}
