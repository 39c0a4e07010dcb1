"""prosqa: which of two concepts a person belongs to, in a graph of made-up concepts (after ProsQA, arXiv 2412.06769).

    question  Every bompus is a lemtor. ... Alex is a bompus. Is Alex a zarpus or a lemtor?
    steps     Alex is a bompus. / Every bompus is a lemtor.
    answer    Alex is a lemtor.

Statements are the edges of a random graph without cycles, shuffled. One candidate is reached from the person, the other
is not, though it is as deep; so a guess from the surface is right half of the time. Needs no download.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, model_validator

from thoughtscope.errors import UserError
from thoughtscope.settings import Positive, Strict
from thoughtscope.tasks.chain import Splits
from thoughtscope.tasks.reasoning import response_text

CONTRACT = "reasoning"
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


class Settings(Strict):
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


def examples(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield distinct questions; numbers of hops and places of the right candidate come equally often.

    Raises:
        UserError: graphs of these settings hold no such path.
    """
    numbers, seen = random.Random(settings.seed), set()
    fewest, most = settings.hops
    for split, size in settings.splits.model_dump().items():
        made = 0
        while made < size:
            row = _example(settings, numbers, fewest + made % (most - fewest + 1), first=made // 2 % 2 == 0)
            if row["question"] not in seen:
                seen.add(row["question"])
                yield {"example_id": f"prosqa-{split}-{made}", "split": split, **row}
                made += 1


def pretraining(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield questions of one statement, so that a tiny backbone knows the words and the form but no path."""
    numbers = random.Random(f"{settings.seed}: words")
    for _ in range(2000):
        names = _concepts(numbers, 4)
        person, (own, other) = numbers.choice(NAMES), names[:2]
        facts = [f"{person} is a {own}.", f"Every {names[2]} is a {names[3]}.", f"Every {names[3]} is a {other}."]
        numbers.shuffle(facts)
        said = f"{person} is a {own}."
        pair = numbers.sample([own, other], 2)
        question = f"{' '.join(facts)} Is {person} a {pair[0]} or a {pair[1]}?"
        yield {"question": question, "response": response_text([said], said)}


def _example(settings: Settings, numbers: random.Random, hops: int, first: bool) -> dict[str, Any]:
    """Draw graphs until one has a person `hops` statements below a concept, and a wrong one as deep elsewhere."""
    for _ in range(TRIES):
        up = _graph(settings, numbers)
        start = numbers.randrange(settings.concepts)
        paths = _shortest(up, start)
        right = [node for node, path in paths.items() if len(path) == hops]
        deep = {node for root in up for node, path in _shortest(up, root).items() if len(path) >= min(hops, 3)}
        wrong = sorted(deep - paths.keys())
        if right and wrong:
            return _written(settings, numbers, up, paths[numbers.choice(right)], numbers.choice(wrong), first)
    raise UserError(
        "task prosqa: hops", f"no path of {hops} steps in {TRIES} graphs", "lower it, or raise concepts or parents"
    )


def _graph(settings: Settings, numbers: random.Random) -> Graph:
    """Return for each concept the larger ones it is stated to be; edges go from lower to higher numbers only."""
    up: Graph = {node: [] for node in range(settings.concepts)}
    near = max(2, settings.concepts // 3)
    for node in range(1, settings.concepts):
        wanted = int(settings.parents) + (numbers.random() < settings.parents % 1)
        below = range(max(0, node - near), node)
        for child in numbers.sample(below, min(wanted, len(below))):
            if numbers.random() < 0.8:  # some concepts stand at the bottom of a tree of their own
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


def _concepts(numbers: random.Random, count: int) -> list[str]:
    return numbers.sample([start + end for start in STARTS for end in ENDS], count)


def _written(
    settings: Settings, numbers: random.Random, up: Graph, path: list[int], wrong: int, first: bool
) -> dict[str, Any]:
    names, person = _concepts(numbers, settings.concepts), numbers.choice(NAMES)
    facts = [f"Every {names[a]} is a {names[b]}." for a, larger in up.items() for b in larger]
    facts.append(f"{person} is a {names[path[0]]}.")
    numbers.shuffle(facts)
    pair = [names[path[-1]], names[wrong]] if first else [names[wrong], names[path[-1]]]
    steps = [f"{person} is a {names[path[0]]}."]
    steps += [f"Every {names[a]} is a {names[b]}." for a, b in itertools.pairwise(path)]
    return {
        "question": f"{' '.join(facts)} Is {person} a {pair[0]} or a {pair[1]}?",
        "steps": steps,
        "answer": f"{person} is a {names[path[-1]]}",
        "step_values": [names[node] for node in path],
    }
