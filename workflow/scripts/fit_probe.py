"""Fits a probe: to a run, to the hidden states of its latents, or to those of a backbone that reads statements."""

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
    parser.add_argument("--source", type=folder, required=True, help="folder of hidden states, or of a run")
    parser.add_argument("--task", type=folder, required=True)
    parser.add_argument("--output", type=folder, required=True)
    arguments = parser.parse_args()
    raw, where = arguments.settings, f"probes.{arguments.probe}"
    kind = Probe.find(raw["kind"], where)
    probe = kind(parse(kind.Settings, raw["settings"], where))
    if kind.READS == "statements":
        named, columns = dict(zip(("task", "backbone"), arguments.of.split("/"), strict=True)), schemas.STATEMENTS
    else:
        named, columns = RunId.parse(arguments.of).columns, schemas.REASONING
    examples = schemas.read(arguments.task / EXAMPLES, columns).to_pylist()
    inputs = input_digests([arguments.source, arguments.task])
    made_by = record("fit_probe", raw, probe=arguments.probe, inputs=inputs)
    with artifact_folder(arguments.output, made_by) as made:
        (made / "tables").mkdir()
        found = probe.fit(arguments.source, examples)
        for table in kind.TABLES:
            rows = ({"probe": arguments.probe, **named, **row} for row in found[table])
            count = schemas.write(made / f"tables/{table}.parquet", kind.schema(table), rows)
            print(f"{arguments.output}: {table}: {count} rows")


if __name__ == "__main__":
    sys.exit(main())
