"""Trains one run: checks its arguments, starts its ranks where they belong and waits for them."""

import argparse
import sys

from thoughtscope.errors import one_line_errors
from thoughtscope.launch.run import launch, launch_options
from thoughtscope.training.options import run_options


@one_line_errors
def main() -> int:
    """Train one run; return the status to end with."""
    parents = [launch_options(), run_options()]
    argparse.ArgumentParser(description=__doc__, parents=parents, allow_abbrev=False).parse_args()
    own, worker = launch_options().parse_known_args()
    return launch(["thoughtscope.training.worker", *worker], own.nodes, own.ranks, own.cores)


if __name__ == "__main__":
    sys.exit(main())
