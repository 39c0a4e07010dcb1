"""Random perfect matching: everybody gets something that is allowed for them."""

from __future__ import annotations

from collections.abc import Sequence


def match(candidates: Sequence[Sequence[int]]) -> list[int | None]:
    """Return for each place one of its `candidates`, none used twice; None where a largest matching leaves it out.

    Augmenting paths (Kuhn 1955), in the order of the candidates: shuffle them for a random matching.
    """
    owner: dict[int, int] = {}

    def settle(place: int, tried: set[int]) -> bool:
        """Give `place` a candidate and move other places to another of theirs where needed."""
        for candidate in candidates[place]:
            if candidate not in tried:
                tried.add(candidate)
                if candidate not in owner or settle(owner[candidate], tried):
                    owner[candidate] = place
                    return True
        return False

    for place in range(len(candidates)):
        settle(place, set())
    found = {place: candidate for candidate, place in owner.items()}
    return [found.get(place) for place in range(len(candidates))]
