"""Fits directions of truth on a backbone's stored hidden states, and scores every token of what is displayed."""

import argparse
import json
import sys
from pathlib import Path

from thoughtscope import tables
from thoughtscope.artifacts import artifact_folder, input_digests
from thoughtscope.config.parse import parse
from thoughtscope.config.run import Run
from thoughtscope.errors import one_line_errors
from thoughtscope.hidden_states.read import describe_states
from thoughtscope.probes.fit import fit_truth
from thoughtscope.probes.settings import TruthSettings
from thoughtscope.probes.statements import Statements
from thoughtscope.provenance import add_options, record
from thoughtscope.tasks.prepare import EXAMPLES


@one_line_errors
def main() -> None:
    """Fit the directions of one backbone on the statements of one task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help='JSON: "run" and "truth_probes"')
    parser.add_argument("--states", type=Path, required=True, help="folder of hidden states")
    parser.add_argument("--task", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    add_options(parser)
    arguments = parser.parse_args()
    raw = json.loads(arguments.settings)
    settings, columns = parse(TruthSettings, raw["truth_probes"], "truth_probes"), Run.parse(raw["run"]).columns
    examples = tables.read(arguments.task / EXAMPLES, tables.STATEMENTS).to_pylist()
    layers = describe_states(arguments.states)["layers"]
    made_by = record("fit_truth_probes", raw, arguments, inputs=input_digests([arguments.states, arguments.task]))
    with artifact_folder(arguments.output, made_by) as folder:
        found = fit_truth(Statements.of(examples, arguments.states), layers, settings)
        for name, schema, rows in (
            ("truth", tables.TRUTH_PROBES, found.truth),
            ("activity", tables.ACTIVITY, found.activity),
            ("trends", tables.TRENDS, found.trends),
        ):
            tables.write(folder / f"{name}.parquet", schema, ({**columns, **row} for row in rows))


if __name__ == "__main__":
    sys.exit(main())
