"""Settings as params of a rule: a param for each group, which the command passes to the program as JSON.

Snakemake compares the text of each param with the recorded text, and prints both when they differ. So a group prints
its name and sorted keys. `{params:q}` in a command is every group as a word of JSON.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Sequence
from typing import Any, get_type_hints

from thoughtscope.config.load import Study
from thoughtscope.run_id import RunId
from workflow.lib.sources import pins, sources

Param = Callable[[Any], "Group"]


class Group(dict[str, Any]):
    """A group of settings by its name, e.g. `{"training": {"updates": 100}}`; a word of JSON in a command."""

    def __str__(self) -> str:
        return json.dumps(self, separators=(",", ":"), ensure_ascii=False)


class Caption(Group):
    """The text that the report shows below a table or figure, for which nothing reruns.

    It is an empty group: nothing is handed to the program, and Snakemake sees no difference when the text changes.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


def group(**settings: Any) -> Group:
    """Return a group whose text does not depend on the order of keys."""
    return Group(json.loads(json.dumps(settings, sort_keys=True, ensure_ascii=False)))


def settings_params(study: Study, function: Callable[..., Any]) -> dict[str, Param]:
    """Return a param for each group that the return type of `function` declares; a group that it omits is empty.

    Args:
        function: a function of `study_rules`, which takes the study and, by name, wildcards or a run.
    """
    wanted = [name for name in inspect.signature(function).parameters if name != "study"]
    names = list(get_type_hints(get_type_hints(function)["return"]))

    @functools.cache
    def values(*wildcards: Any) -> dict[str, Any]:
        found: dict[str, Any] = function(study, *wildcards)
        if undeclared := found.keys() - names:
            raise TypeError(f"{function.__name__} returns {undeclared}, which its return type does not declare")
        return found

    def param(name: str) -> Param:
        def of(wildcards: Any) -> Group:
            found = values(*(run_of(wildcards) if one == "run" else getattr(wildcards, one) for one in wanted))
            return group(**{name: found[name]} if name in found else {})

        return of

    return {name: param(name) for name in names}


def code_params(program: str, modules: Callable[[Any], Sequence[str]] = lambda wildcards: ()) -> dict[str, Param]:
    """Return the params `sources` and `pins`: the code and the packages that can change a program's result.

    Args:
        modules: modules that the program starts as processes, or imports because its settings name them.
    """
    return {
        "sources": lambda wildcards: group(sources=sources(program, *modules(wildcards))),
        "pins": lambda wildcards: group(pins=pins(program, *modules(wildcards))),
    }


def run_of(wildcards: Any) -> RunId:
    """Return the run of the wildcards."""
    w = wildcards
    return RunId(w.task, w.backbone, w.method, w.trainable, int(w.seed))
