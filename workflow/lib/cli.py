"""The command `thoughtscope`, with the commands that ask Snakemake or read results; none changes an artifact.

Start it where the Snakefile is.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from thoughtscope.cli import MAIN, ConfigFiles, app, main
from thoughtscope.errors import UserError

RESULTS = Path("results")


@app.command()
def why(configfile: ConfigFiles = [MAIN]) -> None:  # noqa: B006
    """List the artifacts that the next run would make, and what changed since each was made."""
    from workflow.lib.jobs import planned
    from workflow.lib.why import explain

    print("\n".join(explain(planned(["--configfile", *map(str, configfile)]))) or "nothing would rerun")


@app.command()
def verify() -> None:
    """Hash every artifact and name the files that were altered, deleted or added.

    Ends with status 1 if there are any.
    """
    from workflow.lib.found import found
    from workflow.lib.verify import faults

    if not RESULTS.is_dir():
        raise UserError(str(RESULTS), "no such folder", "run the workflow first: make run")
    wrong = faults(RESULTS)
    for fault in wrong:
        print(fault)
    verdict = f"{len(wrong)} files differ from their manifests" if wrong else "all match their manifests"
    print(f"{len(found(RESULTS))} artifacts: {verdict}")
    if wrong:
        print("to make an artifact again, delete its folder, or the files of its table or figure, and run again")
        raise typer.Exit(1)


@app.command()
def trace(file: Annotated[Path, typer.Argument(help="For example results/figures/latent_scatter.png.")]) -> None:
    """Follow a figure or table back to its runs, tasks, seeds, versions and hardware.

    Ends with status 1 if an artifact on the way is missing or was changed.
    """
    from workflow.lib.trace import BROKEN, read_record
    from workflow.lib.trace import trace as follow

    lines = list(follow(str(file), read_record(file), Path()))
    print("\n".join(lines))
    raise typer.Exit(1 if any(line.endswith(BROKEN) for line in lines) else 0)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def preflight(
    context: typer.Context,
    configfile: ConfigFiles = [MAIN],  # noqa: B006
    workflow_profile: Annotated[Path, typer.Option(help="Snakemake's profile for the cluster.")] = Path(
        "workflow/profiles/slurm"
    ),
) -> None:
    """Ask SLURM, without submitting, whether it would accept every job and its nodes see the files.

    Takes further options of Snakemake, such as --set-resources. Ends with status 2 if there is a problem.
    """
    from thoughtscope.config.load import Study
    from workflow.lib.preflight import cluster_problems

    options = ["--workflow-profile", str(workflow_profile), *context.args]
    jobs, problems = cluster_problems(Study.read(configfile), [*options, "--configfile", *map(str, configfile)])
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if problems:
        raise typer.Exit(2)
    print(f"SLURM would accept all {jobs} jobs, and its nodes see the files")


if __name__ == "__main__":
    sys.exit(main())
