"""The command-line arguments that programs share: settings as JSON mappings, and folders of artifacts.

    make_table.py --settings '{"confidence": 0.95}' '{"methods": {}}' '{"sources": {}}' --inputs results/runs/...

Each mapping has one group of settings under its name. The groups `sources` and `pins` are not settings; they are the
code and the packages that make the artifact, and are recorded in its provenance.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thoughtscope.artifacts import MANIFEST


class _Merge(argparse.Action):
    """Merges JSON mappings into one."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        merged: dict[str, Any] = {}
        for group in values:
            if twice := sorted(merged.keys() & group.keys()):
                parser.error(f"{option}: {twice[0]} is given twice")
            merged |= group
        setattr(namespace, self.dest, merged)


def program(about: str | None, groups: str, *, add_help: bool = True) -> argparse.ArgumentParser:
    """Return the parser of a program that makes one artifact, with the options `--settings` and `--output`.

    Args:
        about: what the program does, for its help.
        groups: the names of the groups of settings.
        add_help: False for use as a parent parser.
    """
    parser = argparse.ArgumentParser(description=about, add_help=add_help, allow_abbrev=False)
    add_settings(parser, groups)
    parser.add_argument("--output", type=folder, required=True, help="folder of the artifact, or its manifest")
    return parser


def add_settings(parser: argparse.ArgumentParser, groups: str) -> None:
    """Add `--settings`, which takes one or more groups and merges them into one mapping.

    Args:
        groups: their names, for the help.
    """
    parser.add_argument(
        "--settings",
        type=_mapping,
        nargs="+",
        action=_Merge,
        required=True,
        metavar="JSON",
        help=f"groups of settings, which are merged: {groups}; and sources and pins, for the provenance",
    )


def folder(text: str) -> Path:
    """Return the folder of an artifact from the path of the folder or of its manifest."""
    path = Path(text)
    return path.parent if path.name == MANIFEST else path


def settings_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given groups without `sources` and `pins`."""
    return {name: value for name, value in given.items() if name not in {"sources", "pins"}}


def _mapping(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"not a JSON mapping: {text}")
    return value
