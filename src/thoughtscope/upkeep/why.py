"""Says in plain words, for each stage that would rerun, what has changed since its artifact was made.

Snakemake says what is stale; the words come from comparing each artifact's provenance with what the workflow would
record now.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from thoughtscope.config.load import MAIN, Study
from thoughtscope.errors import UserError, one_line_errors
from thoughtscope.upkeep.judge import reasons
from thoughtscope.upkeep.plan import Planned, plan
from thoughtscope.upkeep.stock import distrusted

UP_TO_DATE = "no update"


def stale_outputs(files: Sequence[Path]) -> dict[Path, str]:
    """Return every output that Snakemake would make now, with the word of its own for it.

    Raises:
        UserError: Snakemake refuses the workflow; it says why.
    """
    command = [sys.executable, "-m", "snakemake", "--summary", "--nolock", "--configfile", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(str(files[-1]), f"Snakemake cannot say what is stale: {_last(done.stderr)}", "mend that first")
    lines = done.stdout[done.stdout.index("output_file") :].splitlines()
    rows = csv.DictReader(lines, delimiter="\t")
    return {Path(row["output_file"]): row["status"] for row in rows if row["plan"] != UP_TO_DATE}


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"


def explain(planned: Sequence[Planned], stale: Mapping[Path, str], without_trust: Mapping[Path, str]) -> Iterator[str]:
    """Yield a line for each reason of each stale artifact, then one for those that only follow.

    Args:
        stale: outputs that Snakemake would make now, with its own word for it.
        without_trust: artifacts that are made anew because they cannot be taken as they are.
    """
    following = []
    for one in planned:
        statuses = [stale[path] for path in one.outputs if path in stale]
        if not statuses:
            continue
        words = reasons(one) or [why for path, why in without_trust.items() if path == one.path]
        if not words and any(path in stale for path in one.input_manifests):
            following.append(one.label)
            continue
        words = words or sorted({f"Snakemake says: {status}" for status in statuses})
        yield from (f"{one.label}: {word}" for word in words)
    if following:
        yield f"because of that also: {', '.join(following)}"


@one_line_errors
def main() -> int:
    """Print why each stage is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configfile", type=Path, nargs="+", default=[MAIN])
    files = parser.parse_args().configfile
    planned = plan(Study.read(files))
    lines = list(explain(planned, stale_outputs(files), distrusted(planned)))
    print("\n".join(lines) or "nothing is stale")
    return 0


if __name__ == "__main__":
    sys.exit(main())
