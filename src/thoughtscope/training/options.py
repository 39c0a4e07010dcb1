"""The arguments of a run's program. Imports no torch, so that a launcher can check them at once."""

from __future__ import annotations

import argparse
from pathlib import Path

from thoughtscope.arguments import add_settings, folder


def run_options() -> argparse.ArgumentParser:
    """Return a parser of what a run needs, to be the parent of another."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_settings(parser, "those of TrainSettings; saving, how often the resumable state is saved")
    parser.add_argument("--task", type=folder, required=True, help="folder of the task")
    parser.add_argument("--backbone", type=folder, required=True, help="folder of the backbone")
    parser.add_argument("--yoke", type=folder, nargs="?", help="folder of the run whose schedule is followed, if any")
    parser.add_argument("--state", type=Path, required=True, help="folder of resumable states")
    parser.add_argument("--output", type=folder, required=True, help="folder of the run")
    return parser
