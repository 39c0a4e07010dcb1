"""chain: the arithmetic is right, and nothing leaks from one split into another."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from thoughtscope import schemas
from thoughtscope.errors import UserError
from thoughtscope.tasks import chain
from thoughtscope.tasks.answers import Judge
from thoughtscope.tasks.prepare import REPORT, write_task
from thoughtscope.tasks.reasoning import answer_text, response_text, step_texts

ROOT = Path(__file__).parents[2]


def settings(**changes: object) -> chain.Settings:
    raw = {"kind": "chain", "modulus": 7, "operations": 3, "splits": {"train": 300, "validation": 50, "test": 50}}
    return chain.Settings.model_validate({**raw, **changes})


@given(seed=st.integers(0, 10**6), modulus=st.sampled_from([5, 7, 11]), operations=st.integers(1, 4))
def test_every_step_is_what_python_computes(seed: int, modulus: int, operations: int) -> None:
    made = settings(seed=seed, modulus=modulus, operations=operations, splits={"train": 5, "validation": 2, "test": 2})
    for row in made.examples():
        first, *rest = re.findall(r"\d+|[+*]", row["question"])
        value, values = int(first), []
        for operator, operand in zip(rest[::2], rest[1::2], strict=True):
            value = (value + int(operand) if operator == "+" else value * int(operand)) % modulus
            values.append(str(value))
        assert row["step_values"] == row["steps"] == values
        assert row["answer"] == values[-1]
        assert len(values) == operations


def test_no_question_is_in_two_splits_and_none_is_repeated() -> None:
    questions = [row["question"] for row in settings().examples()]
    assert len(set(questions)) == len(questions) == 400


def test_pretraining_has_the_training_questions_in_words_and_every_single_operation_but_no_other_question() -> None:
    rows = list(settings().examples())
    train, held = ({row["question"] for row in rows if (row["split"] == "train") == own} for own in (True, False))
    texts = list(settings().pretraining_texts())
    asked = [row["question"] for row in texts]
    assert not held & set(asked)
    assert train <= set(asked)
    single = [question for question in asked if question not in train]
    assert set(single) <= {f"{a} {o} {b} =" for a in range(7) for o in "+*" for b in range(1, 7)}
    assert len(single) == len(train) // 3
    whole = next(row for row in texts if row["question"] in train)
    assert whole["response"].count(";") == 3, "every step is written"


def test_the_same_seed_gives_the_same_questions_and_another_others() -> None:
    assert list(settings().examples()) == list(settings().examples())
    assert list(settings().examples()) != list(settings(seed=1).examples())


def test_equations_spell_the_whole_step() -> None:
    row = next(iter(settings(steps="equations").examples()))
    assert all(re.fullmatch(r"\d [+*] \d = \d", step) for step in row["steps"])


def test_more_questions_than_there_are_is_an_error_with_its_mend() -> None:
    with pytest.raises(UserError, match="2048 there are; lower the splits"):
        list(settings(modulus=5, splits={"train": 3000, "validation": 5, "test": 5}).examples())
    with pytest.raises(ValidationError, match="not a prime"):
        settings(modulus=9)


def test_a_response_is_the_text_of_its_pieces_and_its_answer_is_found() -> None:
    pieces = "".join(step_texts(["6", "3"])) + answer_text("3")
    assert pieces.strip() == response_text(["6", "3"], "3") == "6 ; 3 ; #### 3"
    assert Judge().read(pieces) == "3"


def test_a_written_task_reads_back(tmp_path: Path) -> None:
    sizes = write_task("chain", settings(), tmp_path)
    assert sizes == {"train": 300, "validation": 50, "test": 50}
    rows = schemas.read(tmp_path / "task.parquet", schemas.REASONING).to_pylist()
    assert rows == [{**row, **Judge().columns, "overlap": None} for row in settings().examples()]
    report = json.loads((tmp_path / REPORT).read_text())
    assert report["chance"] == 1 / 7
    answers = Counter(row["answer"] for row in rows if row["split"] == "test")
    assert report["answers"]["test"]["best_constant"] == max(answers.values()) / 50
    train = Counter(row["answer"] for row in rows if row["split"] == "train").most_common(1)[0][0]
    assert report["answers"]["test"]["train_constant"] == answers[train] / 50


def terms(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(row["question"].removesuffix(" =").split())


def reordered(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return a question as runs of one operator, each with its operands in order: equal ones have equal answers."""
    first, *rest = terms(row)
    runs: list[tuple[str, list[str]]] = [(rest[0], [first])]
    for operator, operand in zip(rest[::2], rest[1::2], strict=True):
        if operator != runs[-1][0]:
            runs.append((operator, []))
        runs[-1][1].append(operand)
    return tuple((operator, *sorted(operands)) for operator, operands in runs)


LOOKUPS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "the last operation": lambda row: terms(row)[-2:],
    "the last two operations": lambda row: terms(row)[-4:],
    "the first value and all later operations": lambda row: (row["step_values"][0], *terms(row)[3:]),
    "the question with its first operands swapped": lambda row: (
        *sorted(terms(row)[:3:2]),
        *terms(row)[1::2][:1],
        *terms(row)[3:],
    ),
    "the first operation": lambda row: terms(row)[:3],
    "the first two operations": lambda row: terms(row)[:5],
    "first and last operation": lambda row: (*terms(row)[1:3], *terms(row)[-2:]),
    "the operands and operators in any order": lambda row: tuple(sorted(terms(row))),
    "any order with the same result": reordered,
    "nothing": lambda row: None,
}


@pytest.fixture(scope="module")
def shipped() -> dict[str, list[dict[str, Any]]]:
    made = chain.Settings.model_validate(yaml.safe_load((ROOT / "config/tasks/chain.yaml").read_text()))
    rows: dict[str, list[dict[str, Any]]] = {"train": [], "validation": [], "test": []}
    for row in made.examples():
        rows[row["split"]].append(row)
    return rows


def test_the_shipped_sizes_are_kept(shipped: dict[str, list[dict[str, Any]]]) -> None:
    assert {split: len(rows) for split, rows in shipped.items()} == {"train": 8000, "validation": 128, "test": 512}
    single = {term for row in shipped["train"] for term in zip(terms(row)[1::2], terms(row)[2::2], strict=True)}
    assert len(single) == 12, "train has every operation"


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_what_train_memorises_is_of_no_use(shipped: dict[str, list[dict[str, Any]]], lookup: str) -> None:
    """The most frequent answer among the training questions that agree in some part is right one time in seven."""
    key = LOOKUPS[lookup]
    known: dict[Any, Counter[str]] = {}
    for row in shipped["train"]:
        known.setdefault(key(row), Counter())[row["answer"]] += 1
    usual = Counter(row["answer"] for row in shipped["train"])
    for split in ("validation", "test"):
        guesses = [known.get(key(row), usual).most_common(1)[0][0] for row in shipped[split]]
        right = sum(guess == row["answer"] for guess, row in zip(guesses, shipped[split], strict=True))
        n = len(shipped[split])
        assert right / n < 1 / 7 + 2.6 * (6 / 49 / n) ** 0.5


@pytest.mark.parametrize("operations", [1, 2, 3, 4])
def test_splits_share_no_ending_and_no_reordering(operations: int) -> None:
    made = settings(operations=operations, splits={"train": 40, "validation": 3, "test": 6})
    orders: dict[str, set[Any]] = {}
    ends: dict[str, set[Any]] = {}
    for row in made.examples():
        orders.setdefault(row["split"], set()).add(reordered(row))
        values = row["step_values"]
        end = {1: reordered(row), 2: (values[0], *terms(row)[-2:])}.get(operations, terms(row)[-4:])
        ends.setdefault(row["split"], set()).add(end)
    for found in (orders, ends):
        assert not found["train"] & (found["validation"] | found["test"])
        assert not found["validation"] & found["test"]


def test_too_few_endings_are_an_error() -> None:
    with pytest.raises(UserError, match=r"splits\.(validation|test): .* with endings of its own; lower the splits"):
        list(settings(operations=3, splits={"train": 10_300, "validation": 10, "test": 10}).examples())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"answer": " "}, "it has no answer"),
        ({"example_id": "b"}, "the id occurs twice"),
        ({"question": "q test"}, "its question is in split"),
        ({"split": "test"}, "split train is empty"),
    ],
)
def test_broken_examples_are_refused(change: dict[str, str], expected: str) -> None:
    rows = [
        {"example_id": name, "split": split, "question": f"q {split}", "answer": "1"}
        for name, split in (("a", "train"), ("b", "validation"), ("c", "test"))
    ]
    with pytest.raises(UserError, match=expected):
        list(settings().checks("task made").checked([{**rows[0], **change}, *rows[1:]]))
