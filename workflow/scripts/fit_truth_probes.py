"""Fits probes on stored hidden states: values at latents, or truth directions and activity scores."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from thoughtscope import tables
from thoughtscope.artifacts import artifact_folder, input_digests
from thoughtscope.config.parse import parse
from thoughtscope.config.run import Run
from thoughtscope.errors import one_line_errors
from thoughtscope.hidden_states.read import describe_states
from thoughtscope.probes.activity import activity_rows
from thoughtscope.probes.latent import LatentSettings, latent_rows
from thoughtscope.probes.statements import Statements
from thoughtscope.probes.truth import TruthSettings, truth_rows
from thoughtscope.provenance import add_options, record
from thoughtscope.tasks.prepare import EXAMPLES


@one_line_errors
def main() -> None:
    """Fit the probes of one run, or of one backbone on statements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help='JSON: "run", and "latent_probes" or "truth_probes"')
    parser.add_argument("--states", type=Path, required=True, help="folder of hidden states")
    parser.add_argument("--task", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    add_options(parser)
    arguments = parser.parse_args()
    raw = json.loads(arguments.settings)
    fit = _truth if "truth_probes" in raw else _latents
    made_by = record("fit_probes", raw, arguments, inputs=input_digests([arguments.states, arguments.task]))
    with artifact_folder(arguments.output, made_by) as folder:
        fit(raw, arguments.states, arguments.task / EXAMPLES, folder)


def _latents(raw: dict[str, Any], states: Path, task: Path, folder: Path) -> None:
    settings = parse(LatentSettings, raw["latent_probes"], "latent_probes")
    columns = Run.parse(raw["run"]).columns
    rows = latent_rows(states, tables.read(task, tables.REASONING).to_pylist(), settings)
    tables.write(folder / "latents.parquet", tables.LATENT_PROBES, ({**columns, **row} for row in rows))


def _truth(raw: dict[str, Any], states: Path, task: Path, folder: Path) -> None:
    settings = parse(TruthSettings, raw["truth_probes"], "truth_probes")
    columns = Run.parse(raw["run"]).columns
    statements = Statements.of(tables.read(task, tables.STATEMENTS).to_pylist(), states)
    layers = describe_states(states)["layers"]
    truth = list(truth_rows(statements, layers, settings))
    tables.write(folder / "truth.parquet", tables.TRUTH_PROBES, ({**columns, **row} for row in truth))
    scores = activity_rows(statements, layers, settings, truth)
    tables.write(folder / "activity.parquet", tables.ACTIVITY, ({**columns, **row} for row in scores))


if __name__ == "__main__":
    sys.exit(main())
