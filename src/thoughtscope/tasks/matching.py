"""Maximum bipartite matching."""

from __future__ import annotations

from collections.abc import Sequence


def match(candidates: Sequence[Sequence[int]]) -> list[int | None]:
    """Match each place with one of its `candidates`, using no candidate twice; None for places left unmatched.

    The matching has the largest possible size. Augmenting paths (Kuhn 1955) try candidates in the given order; shuffle
    them for a random matching.
    """
    owner: dict[int, int] = {}

    def settle(place: int, tried: set[int]) -> bool:
        """Give `place` a candidate, moving other places to another of their candidates if needed."""
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
