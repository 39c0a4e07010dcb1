"""Makes the page to explore a study: artifact folders in, one HTML file out."""

import argparse
import sys
from pathlib import Path

import pandas as pd

from thoughtscope import schemas
from thoughtscope.arguments import add_settings, folder
from thoughtscope.artifacts import artifact_files, input_digests
from thoughtscope.errors import one_line_errors
from thoughtscope.evaluation.effects import effect_rows
from thoughtscope.explorer.curves import accuracy_curves, activity_surfaces, records
from thoughtscope.explorer.page import page
from thoughtscope.explorer.points import latent_points
from thoughtscope.explorer.settings import Explore
from thoughtscope.figures.base import further
from thoughtscope.parsing import parse
from thoughtscope.provenance import record
from thoughtscope.tasks.prepare import EXAMPLES


@one_line_errors
def main() -> None:
    """Make the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_settings(parser, "page, methods")
    parser.add_argument("--folders", type=folder, nargs="*", default=[], help="runs, hidden states, probes, tasks")
    parser.add_argument("--records", type=Path, nargs="*", default=[], help="provenance of figures and tables")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    settings = parse(Explore, arguments.settings["page"], "explore")
    of = {
        name: [one for one in arguments.folders if name in one.parts] for name in ("hidden_states", "probes", "tasks")
    }
    runs = [one for one in arguments.folders if not any(one in some for some in of.values())]
    rows = [row for task in of["tasks"] for row in schemas.read(task / EXAMPLES, schemas.REASONING).to_pylist()]
    effects = further(of["probes"], "effects")
    data = {
        "methods": arguments.settings["methods"],
        "latents": latent_points(of["hidden_states"], of["probes"], rows, settings.points),
        "effects": [] if effects is None else plain(pd.DataFrame(effect_rows(effects, settings.confidence))),
        "curves": accuracy_curves(runs),
        "surfaces": activity_surfaces(of["probes"]),
        "records": records(arguments.records),
    }
    made_by = record("make_explorer", arguments.settings, inputs=input_digests(arguments.folders))
    with artifact_files(arguments.output, provenance=made_by) as (staged,):
        staged.write_text(page(data), encoding="utf-8")
    print(f"{arguments.output}: {len(data['latents']['points'].get('run', []))} latents, {len(data['curves'])} runs")


def plain(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Return the rows of a frame with None for what is missing."""
    return [{key: None if pd.isna(value) else value for key, value in row.items()} for row in frame.to_dict("records")]


if __name__ == "__main__":
    sys.exit(main())
