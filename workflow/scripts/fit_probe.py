"""Fits a probe to stored hidden states: of a run's latents, or of a backbone that reads statements."""

import argparse
import sys

from thoughtscope import schemas
from thoughtscope.arguments import add_settings, folder
from thoughtscope.artifacts import artifact_folder, input_digests
from thoughtscope.errors import one_line_errors
from thoughtscope.parsing import parse
from thoughtscope.probes.base import Probe
from thoughtscope.provenance import record
from thoughtscope.run_id import RunId
from thoughtscope.tasks.prepare import EXAMPLES


@one_line_errors
def main() -> None:
    """Fit one probe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--probe", required=True, help="its name")
    parser.add_argument("--of", required=True, help="what is probed: a run's path, or <task>/<backbone>")
    add_settings(parser, "kind, settings")
    parser.add_argument("--states", type=folder, required=True, help="folder of hidden states")
    parser.add_argument("--task", type=folder, required=True)
    parser.add_argument("--output", type=folder, required=True)
    arguments = parser.parse_args()
    raw, where = arguments.settings, f"probes.{arguments.probe}"
    kind = Probe.find(raw["kind"], where)
    probe = kind(parse(kind.Settings, raw["settings"], where))
    if kind.READS == "latents":
        named, columns = RunId.parse(arguments.of).columns, schemas.REASONING
    else:
        named, columns = dict(zip(("task", "backbone"), arguments.of.split("/"), strict=True)), schemas.STATEMENTS
    examples = schemas.read(arguments.task / EXAMPLES, columns).to_pylist()
    inputs = input_digests([arguments.states, arguments.task])
    made_by = record("fit_probe", raw, probe=arguments.probe, inputs=inputs)
    with artifact_folder(arguments.output, made_by) as made:
        (made / "tables").mkdir()
        found = probe.fit(arguments.states, examples)
        for table in kind.TABLES:
            rows = ({"probe": arguments.probe, **named, **row} for row in found[table])
            count = schemas.write(made / f"tables/{table}.parquet", kind.schema(table), rows)
            print(f"{arguments.output}: {table}: {count} rows")


if __name__ == "__main__":
    sys.exit(main())
