"""prontoqa: ProntoQA (arXiv 2210.01240) from the JSON that its own generator writes.

    {"example1": {"test_example": {"question": ..., "query": ..., "chain_of_thought": [...], "answer": "True"},
                  "in_context_example0": ...}, "example2": ...}

(asaparov/prontoqa, `run_experiment.py --model-name json`.) Examples are built like those of Coconut's
`preprocessing/prontoqa.py`: the question is context and query, a step is two sentences of the chain of thought, and the
last examples of the file are validation and test. In-context examples are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, cast

from pydantic import Field

from thoughtscope.errors import UserError
from thoughtscope.settings import Positive, Strict
from thoughtscope.tasks.base import QuestionTask
from thoughtscope.tasks.columns import as_text
from thoughtscope.tasks.questions import Reading, example
from thoughtscope.tasks.reading import Row, Source, collect, read

READING = Reading(answer_format="boolean")
PARTS = ("question", "query", "chain_of_thought", "answer")


class Splits(Strict):
    """How many examples at the end of the file are held out; the others are train."""

    validation: Positive
    test: Positive


class Settings(QuestionTask):
    """ProntoQA, as its generator writes it."""

    SPLITS_MAY_OVERLAP = True

    kind: Literal["prontoqa"]
    path: str = Field(..., description="the generator's JSON file, or a pattern of several")
    sentences_per_step: Positive = Field(2, description="number of sentences of the chain of thought in one step")
    splits: Splits

    def examples(self) -> Iterator[dict[str, Any]]:
        """Yield the examples in the order of the file: train, validation, test.

        Raises:
            UserError: the file has another format, or too few examples.
        """
        where = "task prontoqa: path"
        nested = _nested(read(Source(path=self.path), where))
        rows = list(collect(nested, where, lambda place, one: _example(self, place, one)))
        train = len(rows) - self.splits.validation - self.splits.test
        if train < 1:
            raise UserError("task prontoqa: splits", f"the file has {len(rows)} examples", "lower validation or test")
        for number, row in enumerate(rows):
            split = "train" if number < train else "validation" if number < train + self.splits.validation else "test"
            yield {**row, "example_id": f"prontoqa-{number}", "split": split}

    def chance(self) -> float:
        """Return the accuracy of guessing true or false."""
        return 0.5


def _nested(files: Iterable[tuple[str, Row | UserError]]) -> Iterator[tuple[str, Any]]:
    """Yield each example of each file with its place, for messages."""
    for file, found in files:
        if isinstance(found, UserError):
            yield file, found
        else:
            yield from ((f"{file.removesuffix(': row 1')}: {name}", one) for name, one in found.items())


def _example(settings: Settings, place: str, one: Any) -> dict[str, Any]:
    test = one.get("test_example") if isinstance(one, Mapping) else None
    if not isinstance(test, Mapping) or not set(PARTS) <= set(test):
        raise UserError(
            place,
            f"it has no test_example with {', '.join(PARTS)}",
            "write the file with the generator's --model-name json, without --proofs-only",
        )
    sentences = test["chain_of_thought"]
    if not isinstance(sentences, list):
        raise UserError(f"{place}: chain_of_thought", "it is no list of sentences", "correct or remove it")
    texts = [as_text(f"{place}: chain_of_thought", sentence).strip() for sentence in sentences]
    size = settings.sentences_per_step
    row = {
        "question": " ".join(as_text(f"{place}: {part}", test[part]).strip() for part in ("question", "query")),
        "steps": [" ".join(texts[start : start + size]) for start in range(0, len(texts), size)],
        "answer": test["answer"],
    }
    return cast(dict[str, Any], example(place, row, READING, "train"))  # nothing is skipped: READING refuses
