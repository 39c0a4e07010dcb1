"""prosqa: which of two concepts a person belongs to, in a graph of invented concepts (after ProsQA, arXiv 2412.06769).

    question  Every bompus is a lemtor. ... Alex is a bompus. Is Alex a zarpus or a lemtor?
    steps     Alex is a bompus. / Every bompus is a lemtor.
    answer    Alex is a lemtor.

The statements are the edges of a random acyclic graph, shuffled. One of the two candidates can be reached from the
person, the other cannot. Either candidate could be right: for each there is a concept from which it, but not the other,
is reached in the required number of steps. The right candidate, and with it the concept of the person, is drawn after
everything else is fixed, so the answer depends on nothing in the question but the person's place in the graph.
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
    concepts: int = Field(
        ..., ge=6, le=96, description="number of nodes of the graph of a question, without the person"
    )
    parents: float = Field(
        1.5, ge=1, le=4, description="average number of statements in which a concept is the more general one"
    )
    hops: tuple[Positive, Positive] = Field((3, 6), description="smallest and largest length of the shortest path")
    splits: Splits
    seed: int = 0

    @model_validator(mode="after")
    def _hops_fit(self) -> Settings:
        if not 2 <= self.hops[0] <= self.hops[1] < self.concepts // 2:
            raise ValueError("hops: give fewest and most, 2 or more, fewer than half of the concepts")
        return self

    def examples(self) -> Iterator[dict[str, Any]]:
        """Yield distinct questions; all numbers of hops, and both orders of the candidates, are equally frequent.

        Raises:
            UserError: random graphs with these settings have no such path.
        """
        rng, seen = random.Random(self.seed), set()
        fewest, most = self.hops
        for split, size in self.splits.model_dump().items():
            made = 0
            while made < size:
                rounds, further = divmod(
                    made, most - fewest + 1
                )  # the order of candidates is independent of the number of hops
                row = _example(self, rng, fewest + further, first=rounds % 2 == 0)
                if row["question"] not in seen:
                    seen.add(row["question"])
                    yield {"example_id": f"prosqa-{split}-{made}", "split": split, **row}
                    made += 1

    def pretraining_texts(self) -> Iterator[dict[str, Any]]:
        """Yield questions that one statement answers; they teach a tiny backbone words and form, but no paths."""
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
        """Return the accuracy of guessing one of the two candidates."""
        return 0.5


def _example(settings: Settings, rng: random.Random, hops: int, first: bool) -> dict[str, Any]:
    """Draw graphs until one has two candidates that could both be right, then choose the right one."""
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
    """Return, by (right, wrong), the concepts with a shortest path of `hops` to the first and none to the second."""
    larger, reached = [0] * len(up), [0] * len(up)  # sets of concepts, as bits of integers
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
    """Return for each concept the more general concepts of its statements; edges go from lower to higher numbers.

    The graph contains two random paths of `hops` concepts, so that graphs with two candidates are not rare.
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
            if rng.random() < 0.8 and node not in up[child]:  # some concepts have no edge and start a separate tree
                up[child].append(node)
    return up


def _shortest(up: Graph, start: int) -> dict[int, list[int]]:
    """Return the shortest path from `start` to each concept that can be reached, itself included."""
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
