"""Stores hidden states: of a run's latents while it answers, or of a backbone that reads statements."""

import argparse
import json
import sys
from pathlib import Path

from thoughtscope import tables
from thoughtscope.artifacts import artifact_folder, input_digests
from thoughtscope.config.parse import parse
from thoughtscope.errors import one_line_errors
from thoughtscope.hidden_states.extract import LatentsSettings, extract_latents
from thoughtscope.hidden_states.statements import StatementsSettings, extract_statements
from thoughtscope.provenance import add_options, record
from thoughtscope.tasks.prepare import EXAMPLES


@one_line_errors
def main() -> None:
    """Extract one run's or one backbone's hidden states."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="LatentsSettings or StatementsSettings as JSON")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", type=Path, help="a run's folder: its latents are stored")
    source.add_argument("--backbone", type=Path, help="a backbone's folder: its states on statements are stored")
    parser.add_argument("--task", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    add_options(parser)
    arguments = parser.parse_args()
    raw = json.loads(arguments.settings)
    made_by = record(
        "extract_hidden_states",
        raw,
        arguments,
        inputs=input_digests([arguments.run or arguments.backbone, arguments.task]),
    )
    with artifact_folder(arguments.output, made_by) as folder:
        if arguments.run:
            rows = tables.read(arguments.task / EXAMPLES, tables.REASONING).to_pylist()
            extract_latents(parse(LatentsSettings, raw, "extraction settings"), arguments.run, rows, folder)
        else:
            rows = tables.read(arguments.task / EXAMPLES, tables.STATEMENTS).to_pylist()
            extract_statements(parse(StatementsSettings, raw, "extraction settings"), arguments.backbone, rows, folder)


if __name__ == "__main__":
    sys.exit(main())
