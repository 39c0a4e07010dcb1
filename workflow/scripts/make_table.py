"""Makes one table over several runs: artifact folders in, a CSV file out."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from thoughtscope.artifacts import artifact_files, input_digests
from thoughtscope.config.parse import parse
from thoughtscope.errors import one_line_errors
from thoughtscope.evaluation.activity import activity
from thoughtscope.evaluation.benchmark import benchmark
from thoughtscope.evaluation.collapse import collapse
from thoughtscope.evaluation.curves import curves
from thoughtscope.evaluation.probes import probes
from thoughtscope.evaluation.separation import separation
from thoughtscope.evaluation.settings import TableSettings
from thoughtscope.evaluation.summary import summary
from thoughtscope.provenance import add_options, record

TABLES: dict[str, Callable[[Sequence[Path], TableSettings], pd.DataFrame]] = {
    "summary": summary,
    "curves": curves,
    "collapse": collapse,
    "separation": separation,
    "probes": probes,
    "activity": activity,
    "benchmark": benchmark,
}


@one_line_errors
def main() -> None:
    """Make one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True, choices=sorted(TABLES))
    parser.add_argument("--settings", default="{}", help="TableSettings as JSON")
    parser.add_argument("--inputs", type=Path, nargs="+", required=True, help="runs, hidden states or probes")
    parser.add_argument("--output", type=Path, required=True)
    add_options(parser)
    arguments = parser.parse_args()
    raw = json.loads(arguments.settings)
    settings = parse(TableSettings, raw, "table settings")
    table = TABLES[arguments.table](arguments.inputs, settings)
    made_by = record("make_table", raw, arguments, table=arguments.table, inputs=input_digests(arguments.inputs))
    with artifact_files(arguments.output, provenance=made_by) as (staged,):
        table.to_csv(staged, index=False, float_format="%.6g")
    print(f"{arguments.output}: {len(table)} rows")


if __name__ == "__main__":
    sys.exit(main())
