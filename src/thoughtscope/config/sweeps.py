"""Sweeps: a grid over keys of a method becomes methods of their own, with a table and a figure.

sweeps:
  weight:                                       methods   weight-0, weight-1, weight-20
    method: codi                                table     sweep_weight
    keys: {distillation.weight: [0, 1, 20]}     figure    sweep_weight
    runs: {task: chain, backbone: qwen3}
"""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thoughtscope.config.schema import Sweep
from thoughtscope.errors import UserError


@dataclass(frozen=True)
class Point:
    """One method of a sweep.

    Attributes:
        method: which it is derived from.
        values: of the keys that are swept, by their dotted path.
    """

    method: str
    values: Mapping[str, Any]

    @property
    def label(self) -> str:
        """What figures print after the method's label: the last part of each key, and its value."""
        return ", ".join(f"{key.rpartition('.')[2]} {text(value)}" for key, value in self.values.items())

    def apply(self, raw: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Return the settings of the method with the values of this point.

        Raises:
            UserError: a key leads through something that is neither a mapping nor a list that long.
        """
        made = copy.deepcopy(dict(raw))
        for key, value in self.values.items():
            _put(made, key, value, where)
        return {**made, "label": f"{made.get('label') or self.method}, {self.label}", "look": None}


def points(sweeps: Mapping[str, Sweep], source: str) -> dict[str, dict[str, Point]]:
    """Return the methods of each sweep by their names: that of the sweep, and the values.

    Raises:
        UserError: two of them have the same name.
    """
    found: dict[str, dict[str, Point]] = {}
    for name, sweep in sweeps.items():
        own = found.setdefault(name, {})
        for values in itertools.product(*sweep.keys.values()):
            named = "-".join([name, *(re.sub(r"[^\w.+]+", "_", text(value)).strip("_") for value in values)])
            if any(named in other for other in found.values()):
                raise UserError(f"{source}: sweeps.{name}", f"two methods are called {named}", "rename the sweep")
            own[named] = Point(sweep.method, dict(zip(sweep.keys, values, strict=True)))
    return found


def expand(
    raw: Mapping[str, Any], sweeps: Mapping[str, Sweep], found: Mapping[str, Mapping[str, Point]]
) -> dict[str, Any]:
    """Return the main config with the runs, the table and the figure of each sweep.

    Args:
        found: as `points` returns them.
    """
    made = {**raw, "runs": [*raw.get("runs", [])]}
    made["tables"], made["figures"] = dict(raw.get("tables") or {}), dict(raw.get("figures") or {})
    for name, sweep in sweeps.items():
        methods = list(found[name])
        grids = sweep.runs if isinstance(sweep.runs, list) else [sweep.runs]
        made["runs"] += [{**grid.model_dump(), "method": methods} for grid in grids]
        values = {one: {key: text(value) for key, value in point.values.items()} for one, point in found[name].items()}
        chosen = {"kind": "sweep", "runs": {"method": methods}}
        made["tables"][f"sweep_{name}"] = {**chosen, "points": values}
        made["figures"][f"sweep_{name}"] = {**chosen, "title": sweep.title, "options": {"points": values}}
    return made


def text(value: Any) -> str:
    """Return a value as YAML writes it."""
    return value if isinstance(value, str) else json.dumps(value)


def _put(raw: dict[str, Any], key: str, value: Any, where: str) -> None:
    at: Any = raw
    *path, last = key.split(".")
    try:
        for part in path:
            at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {})
        at[int(last) if isinstance(at, list) else last] = value
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise UserError(where, f"there is no key {key}", "name one by its path, list items by their number") from None
