"""prosqa: what its questions promise, checked against the statements they are made of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from thoughtscope.errors import UserError
from thoughtscope.tasks import prosqa

ROOT = Path(__file__).parents[2]
SMALL: dict[str, Any] = {
    "kind": "prosqa", "concepts": 20, "hops": (2, 5), "splits": {"train": 120, "validation": 20, "test": 40},
}  # fmt: skip


def rows(**changes: Any) -> list[dict[str, Any]]:
    return list(prosqa.examples(prosqa.Settings.model_validate({**SMALL, **changes})))


def parts(question: str) -> tuple[str, str, dict[str, list[str]], list[str]]:
    """Read a question as a reader would: person, own concept, the graph, the two candidates."""
    person, own = re.findall(r"([A-Z]\w+) is a (\w+)\.", re.sub(r"Every \w+ is a \w+\.", "", question))[0]
    graph: dict[str, list[str]] = {}
    for small, large in re.findall(r"Every (\w+) is a (\w+)\.", question):
        graph.setdefault(small, []).append(large)
    found = re.search(r"Is \w+ a (\w+) or a (\w+)\?$", question)
    assert found
    return person, own, graph, list(found.groups())


def distances(graph: dict[str, list[str]], start: str) -> dict[str, int]:
    found, queue = {start: 0}, [start]
    for node in queue:
        for larger in graph.get(node, []):
            if larger not in found:
                found[larger] = found[node] + 1
                queue.append(larger)
    return found


def test_one_candidate_is_reached_by_the_steps_and_the_other_not_at_all() -> None:
    for row in rows():
        person, own, graph, pair = parts(row["question"])
        right = row["answer"].removeprefix(f"{person} is a ")
        wrong = next(name for name in pair if name != right)
        reached = distances(graph, own)
        assert wrong not in reached
        assert reached[right] == len(row["steps"]) - 1, "the steps are a shortest path"
        assert row["steps"][0] == f"{person} is a {own}."
        assert all(step in row["question"] for step in row["steps"])
        assert row["steps"][-1].endswith(f"{right}.")


def test_hops_and_the_place_of_the_answer_are_balanced() -> None:
    made = [row for row in rows() if row["split"] == "train"]
    hops = [len(row["steps"]) for row in made]
    assert {count: hops.count(count) for count in (2, 3, 4, 5)} == dict.fromkeys((2, 3, 4, 5), 30)
    first = [parts(row["question"])[3][0] == row["answer"].split()[-1] for row in made]
    assert sum(first) == 60


def test_questions_are_distinct_and_the_same_each_time() -> None:
    made = rows()
    assert len({row["question"] for row in made}) == 180
    assert made == rows()
    assert made != rows(seed=1)


def test_pretraining_shows_no_path() -> None:
    for row in list(prosqa.pretraining(prosqa.Settings.model_validate(SMALL)))[:200]:
        person, own, _, _ = parts(row["question"])
        assert row["response"] == f"{person} is a {own}. ; #### {person} is a {own}."


def test_paths_that_no_graph_holds_are_refused() -> None:
    with pytest.raises(UserError, match=r"no path of 2[0-9] steps in 1000 graphs; lower it"):
        rows(concepts=60, hops=(28, 29), parents=4)
    with pytest.raises(ValidationError, match="fewer than half of the concepts"):
        prosqa.Settings.model_validate({**SMALL, "hops": (3, 12)})


def test_the_shipped_task_is_valid() -> None:
    settings = prosqa.Settings.model_validate(yaml.safe_load((ROOT / "config/tasks/prosqa.yaml").read_text()))
    few = settings.model_copy(update={"splits": prosqa.Splits(train=40, validation=4, test=4)})
    assert len(list(prosqa.examples(few))) == 48
