"""The arguments that all programs share: settings as JSON mappings, and the folders of artifacts.

    make_table.py --settings '{"confidence": 0.95}' '{"methods": {}}' '{"sources": {}}' --inputs results/runs/...

A mapping holds one group of settings, by its name; the program merges them. The groups `sources` and `pins` hold no
settings: they name the code and the packages that make the artifact, and go into its provenance.
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


def add_settings(parser: argparse.ArgumentParser, groups: str) -> None:
    """Add `--settings`, whose value is one mapping with every group that was given.

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
        help=f"mappings, which are merged: {groups}; and sources, pins for the provenance",
    )


def folder(text: str) -> Path:
    """Read the path of an artifact: its folder, or the manifest inside it."""
    path = Path(text)
    return path.parent if path.name == MANIFEST else path


def settings_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was given without `sources` and `pins`."""
    return {name: value for name, value in given.items() if name not in {"sources", "pins"}}


def _mapping(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"not a JSON mapping: {text}")
    return value
