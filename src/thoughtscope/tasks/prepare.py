"""Writes a task: examples, pre-training texts and a report as files, checked row by row. Knows no kind of task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from thoughtscope import schemas
from thoughtscope.artifacts import write_json
from thoughtscope.errors import UserError
from thoughtscope.tasks.answers import Judge
from thoughtscope.tasks.overlap import overlaps
from thoughtscope.tasks.reasoning import Skipped, response_text

EXAMPLES, PRETRAINING, REPORT = "task.parquet", "pretraining.parquet", "report.json"
SPLITS = {"reasoning": ("train", "validation", "test"), "statements": ("train", "test", "calibration")}
SCHEMAS = {"reasoning": schemas.REASONING, "statements": schemas.STATEMENTS}
DEFAULTS = {"reasoning": {**Judge().columns, "step_values": [], "outcomes": [], "overlap": None}, "statements": {}}


def write_task(name: str, module: ModuleType, settings: Any, folder: Path) -> dict[str, int]:
    """Write the task's tables into `folder` and return the number of examples in each split.

    Rows are written as they come, so that a large dataset is never in memory as Python objects.

    Raises:
        UserError: an empty split, an id or a question that occurs twice, an example without its answer, or
            validation questions that are the test's; or a kind of statements without texts to learn.
    """
    own = hasattr(module, "pretraining")
    if not own and module.CONTRACT == "statements":
        raise UserError(f"task {name}: kind", f"{module.__name__} has no pretraining", "statements need it: add it")
    sizes: Counter[str] = Counter()
    skipped: Counter[tuple[str, str]] = Counter()

    def rows() -> Iterator[dict[str, Any]]:
        for row in module.examples(settings):
            if isinstance(row, Skipped):
                skipped[row.split, row.reason] += 1
            else:
                sizes[row["split"]] += 1
                yield {**DEFAULTS[module.CONTRACT], **row}

    counted = getattr(module, "OVERLAP", "refused") == "counted"
    place = folder / EXAMPLES
    schemas.write(place, SCHEMAS[module.CONTRACT], checked(name, module.CONTRACT, rows(), overlap=counted))
    own = hasattr(module, "pretraining")
    if not own and module.CONTRACT == "statements":
        raise UserError(
            f"task {name}: kind", f"{module.__name__} has no pretraining", "statements need it: yield texts"
        )
    texts = module.pretraining(settings) if own else training_texts(place)
    schemas.write(folder / PRETRAINING, schemas.PRETRAINING, texts)
    report: dict[str, Any] = {}
    if module.CONTRACT == "reasoning":
        report["answers"] = answers(pq.read_table(place, columns=["split", "answer", "steps"]))
    if skipped:
        report["skipped"] = {split: {} for split, _ in skipped}
        for (split, reason), count in skipped.items():
            report["skipped"][split][reason] = count
    if hasattr(module, "chance"):
        report["chance"] = module.chance(settings)
    if counted:
        report["overlap"] = note_overlap(name, place)
    write_json(folder / REPORT, report)
    return dict(sizes)


def check(name: str, contract: str, rows: Iterable[dict[str, Any]], overlap: bool = False) -> None:
    """Refuse examples that break the contract; see `checked`."""
    for _ in checked(name, contract, rows, overlap):
        pass


def checked(
    name: str, contract: str, rows: Iterable[dict[str, Any]], overlap: bool = False
) -> Iterator[dict[str, Any]]:
    """Yield the rows and refuse those that break the contract. With `overlap`, splits may share questions.

    Raises:
        UserError: an empty split, an id that occurs twice, a question in two splits, an example without its answer;
            a statement that is labelled true and false, a displayed subject in another split, a train or test split
            whose plain statements have one truth only.
    """
    where, ids, questions, splits = f"task {name}", set(), dict[int, str](), set()
    truths: set[tuple[str, int]] = set()
    labels: dict[int, int] = {}
    subjects: dict[str, str] = {}  # a split other than `display` that each is in
    shown: set[str] = set()
    for row in rows:
        example = f"{where}: example {row['example_id']}"
        key = hash(row["example_id"])  # eight bytes each; the text itself would be several times as much
        if key in ids:
            raise UserError(example, "the id occurs twice", "make ids unique")
        ids.add(key)
        splits.add(row["split"])
        if contract == "reasoning":
            if not row["answer"].strip():
                raise UserError(example, "it has no answer", "complete or remove it")
            split = questions.setdefault(hash(row["question"]), row["split"])
            if split != row["split"] and not overlap:
                problem = f"its question is in split {split} and in {row['split']}"
                raise UserError(example, problem, "remove it from one of them")
        else:
            if row["label"] is not None:
                if labels.setdefault(hash((row["question"], row["response"])), row["label"]) != row["label"]:
                    raise UserError(example, "the same statement is labelled true and false", "correct one of the two")
                if not row["negated"]:
                    truths.add((row["split"], row["label"]))
            if row["split"] == "display":
                shown.add(row["subject"])
            else:
                subjects[row["subject"]] = row["split"]
            for subject in shown & subjects.keys():
                problem = f"its displayed subject {subject} is in split {subjects[subject]}"
                raise UserError(where, problem, "display another one, or leave this one out of the splits")
        yield row
    for split in SPLITS[contract]:
        if split not in splits:
            raise UserError(f"{where}: splits", f"split {split} is empty", "give it examples")
    for split in ("train", "test") if contract == "statements" else ():
        if not {(split, 0), (split, 1)} <= truths:
            problem = f"split {split} does not have both true and false plain statements"
            raise UserError(f"{where}: splits", problem, "give it both")


def training_texts(path: Path) -> Iterator[dict[str, str]]:
    """Yield the questions and responses of a written task's training examples."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=10_000, columns=["split", "question", "steps", "answer"]):
            for row in batch.to_pylist():
                if row["split"] == "train":
                    yield {"question": row["question"], "response": response_text(row["steps"], row["answer"])}


def answers(table: pa.Table) -> dict[str, dict[str, Any]]:
    """Return what answering without reasoning reaches in each split, and how many examples have no steps.

    best_constant: the share of the split's most frequent answer. train_constant: the share of train's most frequent
    answer there.
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


def note_overlap(name: str, path: Path) -> dict[str, dict[str, int]]:
    """Fill in the column `overlap` of a written task and return the counts of each split but train.

    Raises:
        UserError: half or more of the validation questions, or of a test set's, stand in both.
    """
    table = pq.read_table(path)
    splits = table["split"].to_pylist()
    questions = table["question"]
    places: dict[str, list[int]] = {}
    for place, split in enumerate(splits):
        places.setdefault(split, []).append(place)
    asked = {split: questions.take(pa.array(where)).to_pylist() for split, where in places.items()}
    found = overlaps(asked)
    for split, one in found.items():
        shared, smaller = one.counts["in_validation"], min(len(places["validation"]), len(places[split]))
        if 2 * shared >= smaller:
            raise UserError(
                f"task {name}: splits.validation",
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
