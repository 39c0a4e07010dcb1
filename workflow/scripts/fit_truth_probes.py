"""Fits directions of truth on a backbone's stored hidden states, and scores every token of what is displayed."""

import argparse
import sys

from thoughtscope import schemas
from thoughtscope.arguments import add_settings, folder
from thoughtscope.artifacts import artifact_folder, input_digests
from thoughtscope.errors import one_line_errors
from thoughtscope.hidden_states.read import describe_states
from thoughtscope.parsing import parse
from thoughtscope.probes.fit import fit_truth
from thoughtscope.probes.settings import TruthSettings
from thoughtscope.probes.statements import Statements
from thoughtscope.provenance import record
from thoughtscope.tasks.prepare import EXAMPLES


@one_line_errors
def main() -> None:
    """Fit the directions of one backbone on the statements of one task."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_settings(parser, "task, backbone, truth_probes")
    parser.add_argument("--states", type=folder, required=True, help="folder of hidden states")
    parser.add_argument("--task", type=folder, required=True)
    parser.add_argument("--output", type=folder, required=True)
    arguments = parser.parse_args()
    raw = arguments.settings
    settings = parse(TruthSettings, raw["truth_probes"], "truth_probes")
    columns = {"task": raw["task"], "backbone": raw["backbone"]}
    examples = schemas.read(arguments.task / EXAMPLES, schemas.STATEMENTS).to_pylist()
    layers = describe_states(arguments.states)["layers"]
    made_by = record("fit_truth_probes", raw, inputs=input_digests([arguments.states, arguments.task]))
    with artifact_folder(arguments.output, made_by) as made:
        found = fit_truth(Statements.of(examples, arguments.states), layers, settings)
        for name, schema, rows in (
            ("truth", schemas.TRUTH_PROBES, found.truth),
            ("activity", schemas.ACTIVITY, found.activity),
            ("trends", schemas.TRENDS, found.trends),
        ):
            schemas.write(made / f"{name}.parquet", schema, ({**columns, **row} for row in rows))


if __name__ == "__main__":
    sys.exit(main())
