"""The arguments of a run's program. Imports no torch, so that they are checked before anything loads."""

from __future__ import annotations

import argparse
from pathlib import Path

from thoughtscope.arguments import add_settings, folder


def run_options() -> argparse.ArgumentParser:
    """Return a parser of the inputs and outputs of a run, for use as a parent parser."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_settings(parser, "those of TrainSettings; saving: how often the resumable state is saved")
    parser.add_argument("--task", type=folder, required=True, help="folder of the task")
    parser.add_argument("--backbone", type=folder, required=True, help="folder of the backbone")
    parser.add_argument("--leader", type=folder, nargs="?", help="folder of the run whose stage switches are followed")
    parser.add_argument("--state", type=Path, required=True, help="folder of resumable states")
    parser.add_argument("--output", type=folder, required=True, help="folder of the run")
    return parser
