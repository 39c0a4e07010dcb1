"""Makes one table over several runs: artifact folders in, a CSV file out."""

import argparse
import sys
from pathlib import Path

from thoughtscope.arguments import add_settings, folder
from thoughtscope.artifacts import artifact_files, input_digests
from thoughtscope.errors import one_line_errors
from thoughtscope.parsing import parse
from thoughtscope.provenance import record
from thoughtscope.tables.base import Table


@one_line_errors
def main() -> None:
    """Make one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True, help="its name")
    add_settings(parser, "kind, settings, methods")
    parser.add_argument("--inputs", type=folder, nargs="+", required=True, help="runs, hidden states or probes")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    settings, where = arguments.settings, f"tables.{arguments.table}"
    kind = Table.find(settings["kind"], where)
    options = parse(kind.Settings, settings["settings"], where)
    table = kind(options, settings["methods"]).make(arguments.inputs)
    inputs = input_digests(arguments.inputs)
    made_by = record("make_table", arguments.settings, table=arguments.table, inputs=inputs)
    with artifact_files(arguments.output, provenance=made_by) as (staged,):
        table.to_csv(staged, index=False, float_format="%.6g")
    print(f"{arguments.output}: {len(table)} rows")


if __name__ == "__main__":
    sys.exit(main())
