"""Stores hidden states: of a run's latents while it answers, or of a backbone that reads statements."""

import argparse
import sys

import pyarrow as pa

from thoughtscope.artifacts import artifact_folder
from thoughtscope.errors import one_line_errors
from thoughtscope.hidden_states.parts import Parts
from thoughtscope.hidden_states.program import compute, inputs, options, unfinished
from thoughtscope.launch.run import launch, launch_options
from thoughtscope.provenance import record

RANK = "thoughtscope.hidden_states.program"


@one_line_errors
def main() -> int:
    """Extract one run's or one backbone's hidden states; return the status to end with."""
    parents = [launch_options(), options()]
    arguments = argparse.ArgumentParser(description=__doc__, parents=parents, allow_abbrev=False).parse_args()
    pa.set_memory_pool(pa.system_memory_pool())  # the default one keeps what dozens of open files have freed
    parts = Parts(unfinished(arguments))
    if arguments.ranks > 1:
        _, rank = launch_options().parse_known_args()
        if status := launch([RANK, *rank], 1, arguments.ranks, arguments.cores):
            return status
    else:
        compute(arguments, parts)
    facts = {"inputs": inputs(arguments), "ranks": arguments.ranks}
    with artifact_folder(arguments.output, record("extract_hidden_states", arguments.settings, **facts)) as made:
        parts.collect(made)
    parts.discard()
    return 0


if __name__ == "__main__":
    sys.exit(main())
