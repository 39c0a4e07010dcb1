"""Answers as datasets and models write them: one table of cases, and laws that hold for all texts."""

from __future__ import annotations

import json
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thoughtscope.tasks.answers import Judge, UnreadableError, after_mark
from thoughtscope.tasks.numbers import LONGEST

CASES = [json.loads(line) for line in (Path(__file__).parent / "answers.jsonl").read_text().splitlines()]
NUMBER = Judge("number")
FORMS: tuple[Any, ...] = ("number", "choice", "boolean", "text")


def gold(text: str, judge: Judge = NUMBER) -> str | None:
    try:
        return judge.gold(text)
    except UnreadableError:
        return None


def test_the_table_holds_gold_texts_and_responses_of_every_format() -> None:
    kinds = {(case["format"], case["from"]) for case in CASES}
    assert kinds == {(form, source) for form in FORMS for source in ("gold", "response")}
    assert len(CASES) >= 300


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['from']}-{case['format']}-{case['text'][:30]!r}")
def test_an_answer_is_read_as_the_table_has_it(case: dict[str, Any]) -> None:
    judge = Judge(case["format"])
    found = gold(case["text"], judge) if case["from"] == "gold" else judge.read(case["text"])
    assert found == case["expected"]


@given(st.integers(-(10**9), 10**9), st.sampled_from(["{}", "#### {}", "${}", "The answer is {}.", "{} apples"]))
def test_an_integer_comes_back_from_any_dress(value: int, dress: str) -> None:
    assert gold(dress.format(f"{value:,}")) == str(value)


@given(st.fractions(min_value=-1000, max_value=1000, max_denominator=1000))
def test_a_fraction_has_one_form(value: Fraction) -> None:
    once = gold(f"{value.numerator}/{value.denominator}")
    assert once is not None
    assert Fraction(once) == value
    assert gold(once) == once == NUMBER.read(f"#### {once}")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_of_a_dataset_keeps_its_value(value: float) -> None:
    found = gold(repr(value))
    assert found is not None
    assert float(Fraction(found)) == value


@settings(max_examples=300, deadline=None)
@given(
    st.text("0123456789 .,-+*/^_x×e:()[]{}<>=#$%\\&|'\n½²\u2212\u2009frac boxed text AaIi not yes", max_size=80),
    st.sampled_from(FORMS),
)
def test_no_text_raises_anything_and_what_is_read_is_read_again(text: str, form: Any) -> None:
    judge = Judge(form)
    for found in (judge.read(f"#### {text}"), gold(text, judge)):
        if found is not None:
            assert judge.correct(found, found)
            assert judge.read(f"#### {found}") == found


PIECES = r"""1|9,|1 |1 000|1/|1e9|9**|(|((1|{|\boxed{|\frac{|\frac{1}{|<<|<<1>>|####|#### |#| |-|- |.|1.|1 and |x |A|(A
|A.|not |=|1=|$|²|½|\|\text{|_|^|1^|10^|e|1:2|five |١|𝟏"""
NASTY = [*PIECES.replace("\n", "").split("|"), "\n", "\x00", "\ud800"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("piece", NASTY)
def test_a_response_of_any_length_is_judged_at_once(piece: str, form: Any) -> None:
    text = piece * (100_000 // len(piece))
    judge = Judge(form, marks=("####", "\\boxed", "the answer is"))
    started = time.process_time()
    judge.read(text)
    judge.read("#### " + text)
    gold(text, judge)
    assert time.process_time() - started < 1, "processor seconds"


def test_what_is_read_of_a_response_is_bounded() -> None:
    """A response that goes on and on costs what its first characters cost."""
    assert NUMBER.read("#### 18" + " 5" * LONGEST) == NUMBER.read("#### 18" + " 5" * LONGEST * 50)
    assert NUMBER.read("#### so" + " " * LONGEST + "18") is None


@pytest.mark.parametrize(
    ("predicted", "target", "tolerance", "correct"),
    [
        ("13.33", "13.333333333333334", {}, False),
        ("13.333", "13.333333333333334", {"absolute": 1e-3}, True),
        ("13.33", "13.333333333333334", {"absolute": 1e-3}, False),
        ("1000001", "1000000", {"relative": 1e-6}, True),
        ("-1000001", "-1000000", {"relative": 1e-6}, True),
        ("1000002", "1000000", {"relative": 1e-6}, False),
        ("1000002", "1000000", {"relative": 1e-6, "absolute": 2.0}, True),
        ("1/3", "0.3333", {"absolute": 1e-4}, True),
        ("0.0005", "0", {"relative": 0.5}, False),
        (None, "0", {"absolute": 1e9}, False),
    ],
)
def test_a_task_may_set_tolerances(
    predicted: str | None, target: str, tolerance: dict[str, float], correct: bool
) -> None:
    assert Judge("number", **tolerance).correct(predicted, target) is correct


def test_tolerance_is_for_numbers_alone() -> None:
    assert not Judge("choice", absolute=5.0).correct("2", "1")


def test_the_marks_of_a_task_are_looked_for_in_their_order() -> None:
    judge = Judge("number", marks=("####", "the answer is"))
    assert judge.read("The answer is 18.") == "18"
    assert judge.read("THE ANSWER IS: 18 because 6 x 3") == "18"
    assert judge.read("the answer is 5, no: #### 18") == "18"
    assert NUMBER.read("The answer is 18.") is None
    assert judge.gold("The answer is 42 because 6 x 7") == "42"


def test_a_box_ends_at_its_own_brace() -> None:
    assert after_mark(r"so \boxed{\frac{1}{2}} and {more}") == r"\frac{1}{2}"
    assert after_mark(r"\boxed{} 5") == ""
    assert after_mark(r"\boxedtext{5}") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("18 dollars (2 per egg)", "more than one number"),
        ("3:30", "too long, or can be read in two ways"),
        ("two 5s", "a number in words beside one in digits"),
        ("many", "no number in it"),
        ("5 " * LONGEST, "longer than"),
    ],
)
def test_a_refused_gold_text_says_why(text: str, words: str) -> None:
    with pytest.raises(UnreadableError, match=words):
        NUMBER.gold(text)
