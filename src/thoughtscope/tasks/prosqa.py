"""prosqa: which of two concepts a person belongs to, in a graph of made-up concepts (after ProsQA, arXiv 2412.06769).

    question  Every bompus is a lemtor. ... Alex is a bompus. Is Alex a zarpus or a lemtor?
    steps     Alex is a bompus. / Every bompus is a lemtor.
    answer    Alex is a lemtor.

Statements are the edges of a random graph without cycles, shuffled. One candidate is reached from the person, the other
is not. Each candidate could be the right one: from some concept it is reached in the asked-for number of steps and the
other is not. Which of the two it is, and so where the person stands, is drawn when everything else is fixed; so nothing
in a question but the person's place in the graph tells the answer. Needs no download.
"""

from __future__ import annotations

import functools
import itertools
import operator
import random
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, model_validator

from thoughtscope.errors import UserError
from thoughtscope.settings import Positive
from thoughtscope.tasks.base import QuestionTask, Splits
from thoughtscope.tasks.reasoning import response_text

NAMES = (
    "Alex",
    "Bella",
    "Carl",
    "Dora",
    "Eric",
    "Fay",
    "Gus",
    "Hana",
    "Ivo",
    "Jack",
    "Kim",
    "Leo",
    "Mia",
    "Ned",
    "Ora",
)
STARTS = (
    "bom",
    "lem",
    "zar",
    "gor",
    "nul",
    "ter",
    "wum",
    "yim",
    "roz",
    "fel",
    "sha",
    "kin",
    "dax",
    "vor",
    "hil",
    "jom",
)
ENDS = ("pus", "tor", "nik", "ber", "lin", "mas")
Graph = dict[int, list[int]]
TRIES = 1000


class Settings(QuestionTask):
    """Graphs with a path of `hops` statements from the person to the answer."""

    kind: Literal["prosqa"]
    concepts: int = Field(..., ge=6, le=96, description="nodes of a question's graph, the person not counted")
    parents: float = Field(1.5, ge=1, le=4, description="statements that name a concept as the larger one, on average")
    hops: tuple[Positive, Positive] = Field((3, 6), description="fewest and most steps of the shortest path")
    splits: Splits
    seed: int = 0

    @model_validator(mode="after")
    def _hops_fit(self) -> Settings:
        if not 2 <= self.hops[0] <= self.hops[1] < self.concepts // 2:
            raise ValueError("hops: give fewest and most, 2 or more, fewer than half of the concepts")
        return self

    def examples(self) -> Iterator[dict[str, Any]]:
        """Yield distinct questions; numbers of hops and places of the right candidate come equally often.

        Raises:
            UserError: graphs of these self hold no such path.
        """
        rng, seen = random.Random(self.seed), set()
        fewest, most = self.hops
        for split, size in self.splits.model_dump().items():
            made = 0
            while made < size:
                rounds, further = divmod(made, most - fewest + 1)  # the place of the answer tells no number of hops
                row = _example(self, rng, fewest + further, first=rounds % 2 == 0)
                if row["question"] not in seen:
                    seen.add(row["question"])
                    yield {"example_id": f"prosqa-{split}-{made}", "split": split, **row}
                    made += 1

    def pretraining_texts(self) -> Iterator[dict[str, Any]]:
        """Yield questions of one statement, so that a tiny backbone knows the words and the form but no path."""
        rng = random.Random(f"{self.seed}: words")
        for _ in range(2000):
            names = _concepts(rng, 4)
            person, (own, other) = rng.choice(NAMES), names[:2]
            facts = [f"{person} is a {own}.", f"Every {names[2]} is a {names[3]}.", f"Every {names[3]} is a {other}."]
            rng.shuffle(facts)
            said = f"{person} is a {own}."
            pair = rng.sample([own, other], 2)
            question = f"{' '.join(facts)} Is {person} a {pair[0]} or a {pair[1]}?"
            yield {"question": question, "response": response_text([said], said)}

    def chance(self) -> float:
        """Return the accuracy of a guess between the two candidates."""
        return 0.5


def _example(settings: Settings, rng: random.Random, hops: int, first: bool) -> dict[str, Any]:
    """Draw graphs until one has two candidates of which each could be the right one, and place the person."""
    for _ in range(TRIES):
        up = _graph(settings, rng, hops)
        starts = _starts(up, hops)
        pairs = [(a, b) for a, b in starts if a < b and (b, a) in starts]
        if pairs:
            right, wrong = rng.sample(rng.choice(pairs), 2)
            path = _shortest(up, rng.choice(starts[right, wrong]))[right]
            return _written(settings, rng, up, path, wrong, first)
    raise UserError(
        "task prosqa: hops", f"no path of {hops} steps in {TRIES} graphs", "lower it, or raise concepts or parents"
    )


def _starts(up: Graph, hops: int) -> dict[tuple[int, int], list[int]]:
    """Return for two concepts those from which a shortest path of `hops` leads to the first, and none to the second."""
    larger, reached = [0] * len(up), [0] * len(up)  # sets of concepts as bits
    for node in reversed(up):
        larger[node] = sum(1 << other for other in up[node])
        reached[node] = functools.reduce(operator.or_, (reached[other] for other in up[node]), 1 << node)
    found: dict[tuple[int, int], list[int]] = {}
    for start in up:
        seen = level = 1 << start
        for _ in range(hops - 1):
            level = functools.reduce(operator.or_, (larger[node] for node in _bits(level)), 0) & ~seen
            seen |= level
        for right in _bits(level):
            for wrong in _bits(~reached[start] & ((1 << len(up)) - 1)):
                found.setdefault((right, wrong), []).append(start)
    return found


def _bits(nodes: int) -> Iterator[int]:
    while nodes:
        yield (nodes & -nodes).bit_length() - 1
        nodes &= nodes - 1


def _graph(settings: Settings, rng: random.Random, hops: int) -> Graph:
    """Return for each concept the larger ones it is stated to be; edges go from lower to higher numbers only.

    Two paths of `hops` concepts are laid first, so that graphs with two candidates are not rare.
    """
    up: Graph = {node: [] for node in range(settings.concepts)}
    near = max(2, settings.concepts // 3)
    laid = rng.sample(range(settings.concepts), 2 * hops)
    below = {b: a for path in (laid[:hops], laid[hops:]) for a, b in itertools.pairwise(sorted(path))}
    for node in range(1, settings.concepts):
        wanted = int(settings.parents) + (rng.random() < settings.parents % 1)
        if node in below:
            up[below[node]].append(node)
            wanted -= 1
        others = range(max(0, node - near), node)
        for child in rng.sample(others, min(wanted, len(others))):
            if rng.random() < 0.8 and node not in up[child]:  # some stand at the bottom of a tree of their own
                up[child].append(node)
    return up


def _shortest(up: Graph, start: int) -> dict[int, list[int]]:
    """Return the shortest path to everything that is reached from `start`, itself included."""
    paths, queue = {start: [start]}, [start]
    for node in queue:
        for larger in up[node]:
            if larger not in paths:
                paths[larger] = [*paths[node], larger]
                queue.append(larger)
    return paths


def _concepts(rng: random.Random, count: int) -> list[str]:
    return rng.sample([start + end for start in STARTS for end in ENDS], count)


def _written(
    settings: Settings, rng: random.Random, up: Graph, path: list[int], wrong: int, first: bool
) -> dict[str, Any]:
    names, person = _concepts(rng, settings.concepts), rng.choice(NAMES)
    facts = [f"Every {names[a]} is a {names[b]}." for a, larger in up.items() for b in larger]
    facts.append(f"{person} is a {names[path[0]]}.")
    rng.shuffle(facts)
    pair = [names[path[-1]], names[wrong]] if first else [names[wrong], names[path[-1]]]
    steps = [f"{person} is a {names[path[0]]}."]
    steps += [f"Every {names[a]} is a {names[b]}." for a, b in itertools.pairwise(path)]
    return {
        "question": f"{' '.join(facts)} Is {person} a {pair[0]} or a {pair[1]}?",
        "steps": steps,
        "answer": f"{person} is a {names[path[-1]]}",
        "step_values": [names[node] for node in path],
    }
