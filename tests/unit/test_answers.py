"""Answers as datasets and models write them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thoughtscope.tasks.answers import AnswerFormat, extract

CASES: list[tuple[str, AnswerFormat, str | None]] = [
    ("72", "number", "72"),
    ("#### 72", "number", "72"),
    ("48/2 = 24 clips in May.\n48+24 = 72 altogether.\n#### 72", "number", "72"),
    ("#### 1,200", "number", "1200"),
    ("#### 1,234,567", "number", "1234567"),
    ("#### $1,050.50", "number", "1050.5"),
    ("#### -5", "number", "-5"),
    ("#### \u22125", "number", "-5"),
    ("-$20", "number", "-20"),
    ("$-20", "number", "-20"),
    ("18.0", "number", "18"),
    ("18.00 dollars.", "number", "18"),
    ("0.50", "number", "0.5"),
    (".5", "number", "0.5"),
    ("1/2", "number", "0.5"),
    ("3/4 of a cup", "number", "0.75"),
    ("1/3", "number", "1/3"),
    ("2/6", "number", "1/3"),
    ("1/0", "number", None),
    ("1e3", "number", "1000"),
    ("007", "number", "7"),
    ("50%", "number", "50"),
    ("50 %", "number", "50"),
    ("12 apples", "number", "12"),
    ("12.", "number", "12"),
    ("it takes 3 hours, so he drives 150 miles", "number", "150"),
    ("The answer is 42.", "number", "42"),
    ("The answer is: 42 because 6 x 7", "number", "7"),
    ("Answer: 9", "number", "9"),
    (r"so \boxed{14}", "number", "14"),
    (r"\boxed{3} or rather \boxed{4}", "number", "4"),
    ("#### 5 #### 6", "number", "6"),
    ("€3.20", "number", "3.2"),
    ("", "number", None),
    ("none", "number", None),
    ("####", "number", None),
    ("5 ####", "number", None),
    ("x2", "number", None),
    ("(B)", "choice", "B"),
    ("B", "choice", "B"),
    ("b", "choice", "B"),
    ("B.", "choice", "B"),
    ("C) bank", "choice", "C"),
    ("The answer is (d)", "choice", "D"),
    ("Answer: E", "choice", "E"),
    ("I would say D", "choice", "D"),
    ("A", "choice", "A"),
    ("#### A", "choice", "A"),
    ("F", "choice", None),
    ("A bank is a place", "choice", None),
    ("yes", "boolean", "yes"),
    ("Yes, because it floats.", "boolean", "yes"),
    ("True", "boolean", "yes"),
    ("FALSE", "boolean", "no"),
    ("The answer is no.", "boolean", "no"),
    ("nothing", "boolean", None),
    ("Alex is a wumpus.", "text", "Alex is a wumpus"),
    ("  Alex   is\na wumpus ", "text", "Alex is a wumpus"),
    ("steps ; #### Alex is a wumpus.", "text", "Alex is a wumpus"),
    (" ", "text", None),
]


@pytest.mark.parametrize(("text", "form", "expected"), CASES)
def test_an_answer_is_found_however_it_is_written(text: str, form: AnswerFormat, expected: str | None) -> None:
    assert extract(text, form) == expected


@given(
    st.integers(-(10**9), 10**9), st.sampled_from(["{}", "#### {}", "${}", "The answer is {}.", "{} apples", "so {}"])
)
def test_an_integer_comes_back_from_any_dress(value: int, dress: str) -> None:
    assert extract(dress.format(f"{value:,}"), "number") == str(value)


@given(st.fractions(min_value=-1000, max_value=1000, max_denominator=1000))
def test_a_fraction_has_one_form(value: Fraction) -> None:
    once = extract(f"{value.numerator}/{value.denominator}", "number")
    assert once is not None
    assert Fraction(once) == value
    assert extract(once, "number") == once
