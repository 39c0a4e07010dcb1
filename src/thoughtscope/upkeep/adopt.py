"""Lets Snakemake take over artifacts that were made elsewhere, once they are verified; they need not be made anew.

An artifact is adopted if all its files are as its manifest says, if its provenance names the settings, sources,
packages and inputs that the workflow would use now, and if what it is made from holds as well.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from thoughtscope.config.load import MAIN, Study
from thoughtscope.errors import UserError, one_line_errors
from thoughtscope.upkeep.judge import reasons
from thoughtscope.upkeep.plan import Planned, plan
from thoughtscope.upkeep.stock import recorded


def judge(planned: Sequence[Planned]) -> tuple[list[Planned], dict[str, list[str]]]:
    """Return the artifacts that hold, and for each other one why it does not, by label."""
    holding: dict[Path, Planned] = {}
    wanting: dict[str, list[str]] = {}
    labels = {one.path: one.label for one in planned}
    for one in planned:
        words = reasons(one, content=True)
        words += [f"{labels[path]} does not hold" for path in one.inputs if path not in holding]
        if words:
            wanting[one.label] = words
        else:
            holding[one.path] = one
    return list(holding.values()), wanting


def take_over(holding: Sequence[Planned], files: Sequence[Path]) -> int:
    """Let Snakemake record what holds and is unknown to it; return how many artifacts that were.

    Raises:
        UserError: Snakemake refuses.
    """
    unknown = [one for one in holding if not all(recorded(path) for path in one.outputs)]
    if unknown:
        outputs = [str(path) for one in unknown for path in one.outputs]
        command = [sys.executable, "-m", "snakemake", "--touch", "--no-hooks", "--cores", "1"]
        done = subprocess.run(
            [*command, "--configfile", *map(str, files), "--", *outputs], capture_output=True, text=True, check=False
        )
        left = [path for one in unknown for path in one.outputs if not recorded(path)]
        if done.returncode or left:
            said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise UserError(str(files[-1]), f"Snakemake did not record everything: {said}", "try snakemake -n")
    return len(unknown)


@one_line_errors
def main() -> int:
    """Adopt what holds, and say of everything else why it does not; end with 1 if something was left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configfile", type=Path, nargs="+", default=[MAIN])
    files = parser.parse_args().configfile
    planned = plan(Study.read(files))
    holding, wanting = judge(planned)
    count = take_over(holding, files)
    for label, words in wanting.items():
        print(f"not adopted: {label}: {'; '.join(words)}")
    print(f"{count} artifacts adopted, {len(holding) - count} were known already, {len(wanting)} left to be made")
    return 1 if wanting else 0


if __name__ == "__main__":
    sys.exit(main())
