"""Statements from a table: every predicate stands once with its own subject and once with one it is false of."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from thoughtscope.errors import UserError
from thoughtscope.tasks import predicates
from thoughtscope.tasks.checks import StatementChecks
from thoughtscope.tasks.matching import match
from thoughtscope.tasks.prepare import write_task

ROOT = Path(__file__).parents[2]
DISPLAY = {"subject": "Lyon", "question": "Where is Lyon?", "wrong": "Lyon is in Peru.", "right": "Lyon is in France."}
COUNTRIES = ("Russia", "Peru", "Iran", "Japan")


def cities(count: int = 40) -> list[dict[str, str]]:
    return [{"city": f"Town {i}", "country": COUNTRIES[i % 4], "river": f"River {i}"} for i in range(count)]


def settings(folder: Path, rows: list[dict[str, str]], **changes: Any) -> predicates.Settings:
    path = folder / "cities.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    given = {
        "kind": "predicates", "table": {"path": str(path)}, "subject": "city", "question": "Where is {city}?",
        "statements": {"plain": "{city} is in {country}."}, "display": DISPLAY, "calibration": 4,
    }  # fmt: skip
    return predicates.Settings.model_validate({**given, **changes})


def made(given: predicates.Settings) -> list[dict[str, Any]]:
    rows = list(given.examples())
    return list(given.checks("task mine").checked(rows))


def refused(given: predicates.Settings) -> str:
    with pytest.raises(UserError) as caught:
        made(given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_each_predicate_stands_once_with_either_truth_in_its_split(tmp_path: Path) -> None:
    rows = made(
        settings(
            tmp_path,
            cities(),
            held_out={"other": "You find {city} in {country}."},
            negated={"denied": "{city} is not in {country}."},
        )
    )
    true_of = {f"Town {i}": COUNTRIES[i % 4] for i in range(40)}
    for split in ("train", "test", "phrasing"):
        told = [row for row in rows if row["split"] == split and not row["negated"]]
        said = Counter((row["response"].split(" in ")[1], row["label"]) for row in told)
        assert all(said[predicate, 1] == said[predicate, 0] for predicate, _ in said)
        for row in told:
            assert (row["response"].endswith(f"in {true_of[row['subject']]}.")) == bool(row["label"])
            assert row["question"] == f"Where is {row['subject']}?"
    for row in (row for row in rows if row["negated"]):
        assert row["split"] == "test"
        assert " is not in " in row["response"]
        assert (true_of[row["subject"]] in row["response"]) == (not row["label"])
    of = {
        split: {row["subject"] for row in rows if row["split"] == split} for split in ("train", "test", "calibration")
    }
    assert {name: len(subjects) for name, subjects in of.items()} == {"train": 22, "test": 14, "calibration": 4}
    assert len(set().union(*of.values())) == 40
    assert of["test"] == {row["subject"] for row in rows if row["split"] == "phrasing"}
    assert [(row["response"], row["label"]) for row in rows if row["split"] == "display"] == [
        ("Lyon is in Peru.", 0), ("Lyon is in France.", 1)
    ]  # fmt: skip


def test_articles_fit_what_follows(tmp_path: Path) -> None:
    template = {"plain": "{city} is a(n) {country} town. A(n) {country} town!"}
    found = {row["response"] for row in made(settings(tmp_path, cities(), statements=template))}
    assert any("is an Iran town. An Iran town!" in text for text in found)
    assert any("is a Peru town. A Peru town!" in text for text in found)
    assert not any("(n)" in text for text in found)


def test_rows_that_share_a_value_never_exchange_predicates(tmp_path: Path) -> None:
    rows = [{**row, "spoken": ("Spanish; Quechua" if i % 2 else "Quechua")} for i, row in enumerate(cities())]
    assert "no predicate is left that is certainly false of Town" in refused(
        settings(tmp_path, rows, differ=["spoken"])
    )
    rows = [{**row, "size": f"size {i // 4 % 5}"} for i, row in enumerate(cities())]
    size = {row["city"]: (row["country"], row["size"]) for row in rows}
    of = {row["river"]: row["city"] for row in rows}
    template = {"plain": "{city} in {country} lies at {river}."}
    for row in made(settings(tmp_path, rows, statements=template, differ=["size"])):
        if row["label"] == 0 and row["split"] != "display":
            own, other = size[row["subject"]], size[of[row["response"].split(" lies at ")[1].rstrip(".")]]
            assert own[0] != other[0]
            assert own[1] != other[1]


def test_a_largest_matching_is_found() -> None:
    assert match([[0, 1], [0], [1, 2]]) == [1, 0, 2]
    assert match([[0], [0]]).count(None) == 1
    assert match([[1, 2], [2, 0], [0, 1]]) in ([1, 2, 0], [2, 0, 1])


def test_bad_tables_are_one_line(tmp_path: Path) -> None:
    rows = cities()
    assert "Town 3 stands in" in refused(settings(tmp_path, [*rows, rows[3]]))
    assert "cities.csv:4: country: it is empty" in refused(
        settings(tmp_path, [*rows[:2], {**rows[2], "country": " "}, *rows[3:]])
    )
    assert "no column 'region'" in refused(settings(tmp_path, rows, differ=["region"]))
    assert "no column 'mayor'" in refused(settings(tmp_path, rows, statements={"a": "{city} has {mayor}."}))
    alone = [{**row, "country": "Peru"} for row in rows]
    assert "no predicate is left that is certainly false of Town" in refused(settings(tmp_path, alone))
    assert "no predicate is left" in refused(settings(tmp_path, rows[:6], test=0.5))  # one subject with one statement
    assert "split train is empty" in refused(settings(tmp_path, rows[:4]))


@pytest.mark.parametrize("key", ["question", "wrong", "right"])
def test_a_displayed_subject_is_in_no_split(key: str, tmp_path: Path) -> None:
    text = f"{DISPLAY[key]} Not Town 7."
    message = refused(settings(tmp_path, cities(), display={**DISPLAY, key: text}))
    assert f"display.{key}: it names Town 7, a subject that directions are fitted or tested on" in message
    held_out = {**DISPLAY, key: text, "subject": "Town 7"}
    rows = made(settings(tmp_path, cities(), display=held_out))
    assert {row["split"] for row in rows if row["subject"] == "Town 7"} == {"display"}


def test_a_displayed_subject_in_a_split_and_contradictions_are_refused(tmp_path: Path) -> None:
    rows = made(settings(tmp_path, cities()))
    shown = next(row for row in rows if row["split"] == "display")
    seen = next(row for row in rows if row["split"] == "train")
    with pytest.raises(UserError, match=r"its displayed subject Town \d+ is in split train; display another one"):
        list(StatementChecks("task mine").checked([*rows, shown | {"example_id": "x", "subject": seen["subject"]}]))
    with pytest.raises(UserError, match="example x: the same statement is labelled true and false"):
        list(StatementChecks("task mine").checked([*rows, seen | {"example_id": "x", "label": 1 - seen["label"]}]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"statements": {"plain": "It is in {country}."}}, "template plain does not name {city}"),
        ({"held_out": {"plain": "{city} is here."}}, "template plain says nothing of {city}"),
        ({"statements": {}}, "at least 1 item"),
        ({"display": {"subject": "Lyon"}}, "Field required"),
    ],
)
def test_templates_are_checked_before_anything_is_read(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(tmp_path, cities(), **changes)


def test_the_people_of_the_repository(tmp_path: Path) -> None:
    given = predicates.Settings.model_validate(yaml.safe_load((ROOT / "config/tasks/people.yaml").read_text()))
    table = given.table.model_copy(update={"path": str(ROOT / str(given.table.path))})
    given = given.model_copy(update={"table": table})
    sizes = write_task("people", given, tmp_path)
    assert sizes["train"] + sizes["test"] > 1000
    assert sizes["display"] == 2
    with (ROOT / str(yaml.safe_load((ROOT / "config/tasks/people.yaml").read_text())["table"]["path"])).open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert len(rows) >= 200
    assert given.display.subject not in rows
    by_predicate = {row["known_for"]: row for row in rows.values()}
    assert len(by_predicate) == len(rows)
    checked = 0
    for statement in given.examples():
        if statement["attribute"] == "profile" and statement["label"] == 0:
            other = by_predicate[statement["response"].split(" known around the world for ")[1].rstrip(".")]
            own = rows[statement["subject"]]
            for column in ("region", "field"):
                assert not {*own[column].split(";")} & {*other[column].split(";")}
            checked += 1
    assert checked > 200
