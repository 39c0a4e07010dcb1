"""The examples of a task as token ids, in Arrow files that all runs of a backbone and method share.

    <folder>/<split>.arrow    one row an example, in the order of the task
    <folder>/facts.json       what would take reading all rows: the largest id, the most steps, spelled control tokens

A file is memory-mapped, and an example is decoded when it is used: no run reads or tokenises all rows at its start.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, overload
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from thoughtscope.artifacts import artifact_folder, digest, is_whole, write_json
from thoughtscope.backbones.spellings import spellings
from thoughtscope.methods.curriculum import Example
from thoughtscope.reasoner import Prompting, encode, read_method
from thoughtscope.schemas import REASONING
from thoughtscope.tasks.answers import Judge

FACTS = "facts.json"
AT_ONCE = 10_000  # rows of a record batch
DECODED = 2**14  # examples that are kept as Python objects
IDS = pa.list_(pa.int32())
SCHEMA = pa.schema(
    [
        ("prompt", IDS),
        ("steps", pa.list_(IDS)),
        ("answer", IDS),
        ("response_length", pa.int32()),
        *((name, REASONING.field(name).type) for name in ("example_id", "overlap", *Judge().columns)),
        ("gold", pa.string()),
        ("cue", pa.int32()),
    ]
)


class Examples(Sequence[Example]):
    """The examples of a split, in a memory-mapped file.

    Args:
        file: as `tokenise` wrote it.
    """

    def __init__(self, file: Path) -> None:
        self._table = pa.ipc.open_file(pa.memory_map(str(file))).read_all()
        self._decoded = lru_cache(DECODED)(self._decode)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        if isinstance(index, slice):
            return [self._decode(i) for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._decoded(index)

    def longest(self, count: int, *, prompt_alone: bool = False) -> list[Example]:
        """Return the `count` examples with the longest prompt and response, or the longest prompt, longest first."""
        lengths = pc.list_value_length(self._table["prompt"]).to_numpy()
        lengths = lengths if prompt_alone else lengths + self._table["response_length"].to_numpy()
        return [self[int(i)] for i in np.argsort(-lengths, kind="stable")[:count]]

    def _decode(self, index: int) -> Example:
        row = self._table.slice(index, 1).to_pylist()[0]
        ids = (row["prompt"], row["steps"], row["answer"])
        return Example(
            row["example_id"], *ids, **{key: row[key] for key in ("gold", "cue", "overlap")}, judge=Judge.of(row)
        )


@dataclass(frozen=True)
class Tokenised:
    """The examples of a task as token ids.

    Attributes:
        splits: each split of the task.
        largest: the largest token id, and the example that has it.
        steps: reasoning steps of the longest training example.
        spellings: for each control token that examples spell, how many do; see `backbones.spellings`.
    """

    splits: dict[str, Examples]
    largest: tuple[int, str]
    steps: int
    spellings: dict[str, dict[str, Any]]


def tokenise(tokenizer: Any, prompting: Prompting, rows: Iterable[Mapping[str, Any]], folder: Path) -> None:
    """Write the examples of a task into `folder`, unless it holds them undamaged.

    Several runs may do so at once: the first to finish provides the folder for all, and none changes a whole one.

    Args:
        tokenizer: with the tokens of the method.
        rows: `schemas.REASONING`; iterated once, or not at all.

    Raises:
        UserError: a row has no answer.
    """
    there = folder.exists()
    if is_whole(folder):
        return
    if there:
        shutil.rmtree(folder, ignore_errors=True)
    own = folder.with_name(f".{folder.name}.{uuid4().hex}")
    with artifact_folder(own, {}) as staging:
        writing = _Writer(tokenizer, prompting, staging)
        spelled = spellings(tokenizer, writing.add(rows))
        writing.close()
        facts = {"splits": list(writing.waiting), "largest": writing.largest, "steps": writing.steps}
        write_json(staging / FACTS, {**facts, "spellings": spelled})
    try:
        own.rename(folder)
    except OSError:  # another run was first
        shutil.rmtree(own)
        if not is_whole(folder):
            raise


def read(folder: Path) -> Tokenised:
    """Open the examples that `tokenise` wrote."""
    facts = json.loads((folder / FACTS).read_text())
    splits = {split: Examples(folder / f"{split}.arrow") for split in facts["splits"]}
    return Tokenised(splits, tuple(facts["largest"]), facts["steps"], facts["spellings"])


def tokens_folder(root: Path, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> Path:
    """Return the folder of the examples as token ids, which runs of one task, backbone and method share.

    Args:
        inputs: digests by folder, the task's and the backbone's first.
    """
    shared = {key: settings.get(key) for key in ("prompting", "sources", "pins")}
    tokens = read_method(settings["method"], "method").tokens
    return root / digest({**shared, "tokens": list(tokens), "inputs": list(inputs.values())[:2]})


@dataclass
class _Writer:
    """Writes examples as they come, and notes what `Tokenised` tells of all of them."""

    tokenizer: Any
    prompting: Prompting
    folder: Path
    files: dict[str, Any] = field(default_factory=dict)
    waiting: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    largest: tuple[int, str] = (-1, "")
    steps: int = 0

    def add(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """Yield `rows` as they are, each after it was added."""
        for row in rows:
            self._add(row["split"], encode(self.tokenizer, self.prompting, row))
            if row["split"] == "train":
                self.steps = max(self.steps, len(row["steps"]))
            yield row

    def _add(self, split: str, one: Example) -> None:
        ids = {"prompt": one.prompt, "steps": one.steps, "answer": one.answer, "response_length": len(one.response)}
        facts = {
            "example_id": one.example_id,
            "overlap": one.overlap,
            "gold": one.gold,
            "cue": one.cue,
            **one.judge.columns,
        }
        self.largest = max(self.largest, (max([*one.prompt, *one.response]), one.example_id))
        waiting = self.waiting.setdefault(split, [])
        waiting.append({**ids, **facts})
        if len(waiting) == AT_ONCE:
            self._flush(split)

    def _flush(self, split: str) -> None:
        if split not in self.files:
            self.files[split] = pa.ipc.new_file(self.folder / f"{split}.arrow", SCHEMA)
        self.files[split].write_batch(pa.RecordBatch.from_pylist(self.waiting[split], schema=SCHEMA))
        self.waiting[split] = []

    def close(self) -> None:
        """Write what is left and close all files."""
        for split in self.waiting:
            self._flush(split)
            self.files[split].close()
