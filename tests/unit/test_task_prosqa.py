"""prosqa: what its questions promise, checked against the statements they are made of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier

from thoughtscope.errors import UserError
from thoughtscope.tasks import prosqa

ROOT = Path(__file__).parents[2]
SMALL: dict[str, Any] = {
    "kind": "prosqa", "concepts": 20, "hops": (2, 5), "splits": {"train": 120, "validation": 20, "test": 40},
}  # fmt: skip


def rows(**changes: Any) -> list[dict[str, Any]]:
    return list(prosqa.Settings.model_validate({**SMALL, **changes}).examples())


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


def candidate_features(row: dict[str, Any], concept: str) -> list[float]:
    """Return what a candidate looks like to a reader who skips every statement about the person."""
    person, _, graph, _ = parts(row["question"])
    sentences = [s for s in re.findall(r"[^.]+\.", row["question"]) if not s.strip().startswith(person)]
    back: dict[str, list[str]] = {}
    for small, larger in graph.items():
        for large in larger:
            back.setdefault(large, []).append(small)
    above, below = distances(graph, concept), distances(back, concept)
    mentions = [number for number, sentence in enumerate(sentences) if re.search(rf"\b{concept}\b", sentence)]
    roots = [node for node in below if node not in back]
    return [
        len(below), len(above), max(below.values()), max(above.values()), len(back.get(concept, [])),
        len(graph.get(concept, [])), len(roots), max((below[root] for root in roots), default=0),
        min((below[root] for root in roots), default=0), len(mentions), min(mentions), max(mentions),
        sum(mentions) / len(mentions), len(concept), ord(concept[0]),
        sum(len(graph.get(node, [])) for node in below), sum(len(back.get(node, [])) for node in above),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def differences() -> tuple[np.ndarray, np.ndarray]:
    """Features of the first candidate less those of the second ``[questions, features]``, and whether it is right."""
    raw = yaml.safe_load((ROOT / "config/tasks/prosqa.yaml").read_text())
    raw["splits"] = {"train": 1600, "validation": 1, "test": 1}
    features, labels = [], []
    for row in prosqa.Settings.model_validate(raw).examples():
        _, _, _, (one, other) = parts(row["question"])
        features.append(np.subtract(candidate_features(row, one), candidate_features(row, other)))
        labels.append(row["answer"].endswith(f" {one}"))
    return np.array(features), np.array(labels)


def test_no_single_feature_that_ignores_the_person_tells_the_answer(differences: tuple[np.ndarray, np.ndarray]) -> None:
    features, right = differences
    for values in features.T:
        decided = values != 0
        correct = ((values > 0) == right)[decided].sum() + 0.5 * (~decided).sum()
        assert max(correct, len(right) - correct) / len(right) < 0.55


def test_all_features_together_do_not_tell_it_either(differences: tuple[np.ndarray, np.ndarray]) -> None:
    features, right = differences
    varied = features[:, features.std(0) > 0]
    scaled = varied / varied.std(0)
    crossed = np.hstack([scaled, np.sign(scaled), np.abs(scaled), scaled[:, :1] * scaled])
    for model in (LogisticRegression(max_iter=2000), DecisionTreeClassifier(max_depth=6, random_state=0)):
        assert cross_val_score(model, crossed, right, cv=5).mean() < 0.55


def test_hops_and_the_place_of_the_answer_are_balanced() -> None:
    made = [row for row in rows() if row["split"] == "train"]
    hops = [len(row["steps"]) for row in made]
    assert {count: hops.count(count) for count in (2, 3, 4, 5)} == dict.fromkeys((2, 3, 4, 5), 30)
    for count in (2, 3, 4, 5):
        chosen = [row for row in made if len(row["steps"]) == count]
        first = [parts(row["question"])[3][0] == row["answer"].split()[-1] for row in chosen]
        assert sum(first) == 15, "as often first as second, whatever the number of hops"


def test_questions_are_distinct_and_the_same_each_time() -> None:
    made = rows()
    assert len({row["question"] for row in made}) == 180
    assert made == rows()
    assert made != rows(seed=1)


def test_pretraining_shows_no_path() -> None:
    for row in list(prosqa.Settings.model_validate(SMALL).pretraining_texts())[:200]:
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
    assert len(list(few.examples())) == 48
