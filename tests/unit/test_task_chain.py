"""chain: the arithmetic is right, and nothing leaks from one split into another."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from thoughtscope import tables
from thoughtscope.errors import UserError
from thoughtscope.tasks import chain
from thoughtscope.tasks.prepare import check, write_task
from thoughtscope.tasks.reasoning import answer_text, extract_answer, response_text, step_texts


def settings(**changes: object) -> chain.Settings:
    raw = {"kind": "chain", "modulus": 7, "operations": 3, "splits": {"train": 300, "validation": 50, "test": 50}}
    return chain.Settings.model_validate({**raw, **changes})


@given(seed=st.integers(0, 10**6), modulus=st.sampled_from([5, 7, 11]), operations=st.integers(1, 4))
def test_every_step_is_what_python_computes(seed: int, modulus: int, operations: int) -> None:
    made = settings(seed=seed, modulus=modulus, operations=operations, splits={"train": 5, "validation": 2, "test": 2})
    for row in chain.examples(made):
        first, *rest = re.findall(r"\d+|[+*]", row["question"])
        value, values = int(first), []
        for operator, operand in zip(rest[::2], rest[1::2], strict=True):
            value = (value + int(operand) if operator == "+" else value * int(operand)) % modulus
            values.append(str(value))
        assert row["step_values"] == row["steps"] == values
        assert row["answer"] == values[-1]
        assert len(values) == operations


def test_no_question_is_in_two_splits_and_none_is_repeated() -> None:
    questions = [row["question"] for row in chain.examples(settings())]
    assert len(set(questions)) == len(questions) == 400


def test_pretraining_shares_no_question_with_any_split() -> None:
    asked = {row["question"] for row in chain.examples(settings())}
    single = {row["question"] for row in chain.pretraining(settings())}
    assert not asked & single
    assert len(single) == 7 * 6 * 2


def test_the_same_seed_gives_the_same_questions_and_another_others() -> None:
    assert list(chain.examples(settings())) == list(chain.examples(settings()))
    assert list(chain.examples(settings())) != list(chain.examples(settings(seed=1)))


def test_equations_spell_the_whole_step() -> None:
    row = next(iter(chain.examples(settings(steps="equations"))))
    assert all(re.fullmatch(r"\d [+*] \d = \d", step) for step in row["steps"])


def test_more_questions_than_there_are_is_an_error_with_its_mend() -> None:
    with pytest.raises(UserError, match="2048 there are; lower the splits"):
        list(chain.examples(settings(modulus=5, splits={"train": 3000, "validation": 5, "test": 5})))
    with pytest.raises(ValidationError, match="not a prime"):
        settings(modulus=9)


def test_a_response_is_the_text_of_its_pieces_and_its_answer_is_found() -> None:
    pieces = "".join(step_texts(["6", "3"])) + answer_text("3")
    assert pieces.strip() == response_text(["6", "3"], "3") == "6 ; 3 ; #### 3"
    assert extract_answer("6 ; 3 ; #### 3") == "3"
    assert extract_answer("6 ; 3") is None
    assert extract_answer("#### ") is None
    assert extract_answer("#### 1 #### 2 ") == "2"


def test_a_written_task_reads_back(tmp_path: Path) -> None:
    sizes = write_task("chain", chain, settings(), tmp_path)
    assert sizes == {"train": 300, "validation": 50, "test": 50}
    rows = tables.read(tmp_path / "task.parquet", tables.REASONING).to_pylist()
    assert rows == [{**row, "answer_format": "text"} for row in chain.examples(settings())]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"answer": " "}, "it has no answer"),
        ({"example_id": "b"}, "the id occurs twice"),
        ({"question": "q test"}, "its question is in split"),
        ({"split": "test"}, "split train is empty"),
    ],
)
def test_examples_that_break_the_contract_are_refused(change: dict[str, str], expected: str) -> None:
    rows = [
        {"example_id": name, "split": split, "question": f"q {split}", "answer": "1"}
        for name, split in (("a", "train"), ("b", "validation"), ("c", "test"))
    ]
    with pytest.raises(UserError, match=expected):
        check("made", "reasoning", [{**rows[0], **change}, *rows[1:]])
