"""The command `thoughtscope`, for tasks before and after a study.

Each command imports what it needs when it is called, so that `--help` is fast. The workflow adds its own commands to
`app`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from thoughtscope.errors import one_line_errors

AFFECTS_RESULTS = False
app = typer.Typer(
    help="Study language models that reason in latent vectors.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

MAIN = Path("config/config.yaml")
ConfigFiles = Annotated[
    list[Path], typer.Option("--configfile", help="Main file of the study; give several to lay each on those before.")
]
ConfigFolder = Annotated[Path, typer.Option(help="Folder of the files of tasks, backbones and methods, and of pins.")]


@app.command()
def check(
    configfile: ConfigFiles = [MAIN],  # noqa: B006
    folder: ConfigFolder = Path("config"),
    results: Annotated[Path, typer.Option(help="Folder that the runs will be written to.")] = Path("results"),
    ranks: Annotated[int, typer.Option(help="Processes of each run.")] = 1,
) -> None:
    """Test a study: read all inputs, train one batch of each kind of run, and print memory, hours and disk space.

    Exits with status 2 if a run does not fit in memory or on the disk.
    """
    from thoughtscope.config.load import Study

    study = Study.read(configfile, folder)
    from thoughtscope.check.study import check_study  # loads PyTorch, so import it after the config was checked

    raise typer.Exit(check_study(study, results, ranks))


@app.command()
def pin(
    configfile: ConfigFiles = [MAIN],  # noqa: B006
    folder: ConfigFolder = Path("config"),
) -> None:
    """Record the current commit of each model and dataset of a study that has none. Needs the network.

    Recorded commits do not change; delete a line to update it.
    """
    from thoughtscope.config.load import Study
    from thoughtscope.pin import pin_revisions

    pin_revisions(Study.read(configfile, folder, require_pins=False), folder)


@app.command()
def fetch(
    configfile: ConfigFiles = [MAIN],  # noqa: B006
    folder: ConfigFolder = Path("config"),
) -> None:
    """Download all models and datasets of a study to the local cache. Needs the network.

    Machines without a network can then run the study with HF_HUB_OFFLINE=1 if they share HF_HOME. The access token
    comes from HF_TOKEN or `hf auth login`.
    """
    from thoughtscope.config.load import Study
    from thoughtscope.fetch import fetch_sources

    fetch_sources(Study.read(configfile, folder))


@app.command()
def reference() -> None:
    """Write config/README.md's table of settings and config/schema.json."""
    from thoughtscope.config.reference import write_reference

    write_reference()


@app.command()
def survey(
    names: Annotated[list[str] | None, typer.Argument(help="Model types of Transformers; none: all of them.")] = None,
    write: Annotated[Path | None, typer.Option(help="Page whose table of results is replaced.")] = None,
) -> None:
    """Verify latent reasoning on a small random model of each model type that Transformers knows."""
    from thoughtscope.survey import model_types, written
    from thoughtscope.survey import survey as examine_all

    found = examine_all(names or model_types())
    if write:
        write.write_text(written(write.read_text(), found))


@one_line_errors
def main() -> None:
    """Run a command, and exit with its status."""
    app(prog_name="thoughtscope")


if __name__ == "__main__":
    sys.exit(main())
