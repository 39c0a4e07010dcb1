"""Assigns a look to each series of a figure. Imports no plotting library, because the config checks looks."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from thoughtscope.errors import UserError
from thoughtscope.settings import Look, Strict

ALIKE = 36  # colours at a smaller distance, in units of 1/255 per channel, look the same


class Series(Strict):
    """A line, or the points with one legend entry, in a figure: its label and its look."""

    label: str
    look: Look


SPARE = [
    Look(colour="#8c564b", marker="h", dash=[4, 1, 2, 1]),
    Look(colour="#e0b000", marker="<", dash=[1, 2]),
    Look(colour="#00a37a", marker=">", dash=[7, 1, 1, 1]),
    Look(colour="#9a2a2a", marker="p", dash=[2, 2]),
    Look(colour="#ff9d7a", marker="d", dash=[10, 2]),
    Look(colour="#3d0c45", marker="8", dash=[3, 3]),
    Look(colour="#c7c05a", marker="o", filled=False, dash=[5, 2, 1, 2]),
    Look(colour="#5e2b10", marker="d", filled=False, dash=[1, 3]),
]


def assign(own: Mapping[str, Look | None], where: str) -> dict[str, Look]:
    """Return the look of each series of a figure: its own, or a spare one that differs from all others.

    Args:
        own: the look of each series, by the key of the config that sets it; None: not set.
        where: the figure, for messages.

    Raises:
        UserError: two looks are alike, or no spare one is left.
    """
    found = {key: look for key, look in own.items() if look is not None}
    for (one, first), (other, second) in itertools.combinations(found.items(), 2):
        if alike(first, second):
            raise UserError(where, f"{one} and {other} look alike in it", "give one of them another colour and marker")
    for key in own:
        if key not in found:
            free = (look for look in SPARE if not any(alike(look, used) for used in found.values()))
            look = next(free, None)
            if look is None:
                raise UserError(where, f"no look is left for {key}", "set it, or draw fewer series")
            found[key] = look
    return {key: found[key] for key in own}


def alike(one: Look, other: Look) -> bool:
    """Return whether two looks can be confused, by colour, or without colours by marker."""
    squares = ((a - b) ** 2 for a, b in zip(_channels(one), _channels(other), strict=True))
    return sum(squares) < ALIKE**2 or (one.marker, one.filled) == (other.marker, other.filled)


def _channels(look: Look) -> list[int]:
    return [int(look.colour[i : i + 2], 16) for i in (1, 3, 5)]
