"""Questions about results: is everything as it was made, what would rerun and why, where does a figure come from.

    python -m workflow.lib.results verify
    python -m workflow.lib.results why --configfile config/smoke.yaml
    python -m workflow.lib.results trace results/figures/latent_scatter.png

None makes or changes an artifact.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from thoughtscope.config.load import MAIN
from thoughtscope.errors import UserError, one_line_errors
from workflow.lib.found import found
from workflow.lib.jobs import planned
from workflow.lib.trace import BROKEN, read_record, trace
from workflow.lib.verify import faults
from workflow.lib.why import explain

RESULTS = Path("results")


@one_line_errors
def main() -> int:
    """Answer one question; end with 1 if results are not as they were made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    questions = parser.add_subparsers(required=True)
    question = questions.add_parser("verify", help="hash every artifact and name what was altered, deleted or added")
    question.set_defaults(answer=_verify)
    question = questions.add_parser("why", help="say what changed since each artifact that would rerun was made")
    question.add_argument("--configfile", nargs="+", default=[str(MAIN)])
    question.set_defaults(answer=_why)
    question = questions.add_parser("trace", help="follow a figure or table back to its tasks and their seeds")
    question.add_argument("file", type=Path, help="e.g. results/figures/latent_scatter.png")
    question.set_defaults(answer=_trace)
    arguments = parser.parse_args()
    return int(arguments.answer(arguments))


def _verify(_arguments: argparse.Namespace) -> int:
    if not RESULTS.is_dir():
        raise UserError(str(RESULTS), "no such folder", "run the workflow first: make run")
    wrong = faults(RESULTS)
    for fault in wrong:
        print(fault)
    verdict = f"{len(wrong)} files are not as they were made" if wrong else "all as they were made"
    print(f"{len(found(RESULTS))} artifacts: {verdict}")
    if wrong:
        print("to make an artifact again, delete its folder, or the files of its table or figure, and run again")
    return 1 if wrong else 0


def _why(arguments: argparse.Namespace) -> int:
    print("\n".join(explain(planned(["--configfile", *arguments.configfile]))) or "nothing would rerun")
    return 0


def _trace(arguments: argparse.Namespace) -> int:
    lines = list(trace(str(arguments.file), read_record(arguments.file), Path()))
    print("\n".join(lines))
    return 1 if any(line.endswith(BROKEN) for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
