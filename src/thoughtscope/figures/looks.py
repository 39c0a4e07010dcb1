"""Which look each series of a figure has. Imports no plotting library: looks are checked while the config is read."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from thoughtscope.errors import UserError
from thoughtscope.settings import Look, Strict

ALIKE = 36  # distance of two colours, in units of 1/255 of each channel, below which they look the same


class Series(Strict):
    """One line, or the points of one name, in a figure: its name in the legend and its look."""

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
    """Return the look of each series of one figure: its own, or a spare one that is like no other's.

    Args:
        own: the looks that are set, by the key of the config that sets them.
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
    """Return whether readers would mix up two series: by colour, or without seeing colours by marker."""
    squares = ((a - b) ** 2 for a, b in zip(_channels(one), _channels(other), strict=True))
    return sum(squares) < ALIKE**2 or (one.marker, one.filled) == (other.marker, other.filled)


def _channels(look: Look) -> list[int]:
    return [int(look.colour[i : i + 2], 16) for i in (1, 3, 5)]
