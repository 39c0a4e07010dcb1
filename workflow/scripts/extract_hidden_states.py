"""Stores hidden states: of a run's latents while it answers, or of a backbone that reads statements."""

import sys

import pyarrow as pa

from thoughtscope import schemas
from thoughtscope.arguments import folder, program, settings_of
from thoughtscope.artifacts import artifact_folder, input_digests
from thoughtscope.backbones.load import MODEL
from thoughtscope.errors import one_line_errors
from thoughtscope.hidden_states.extract import LatentsSettings, extract_latents
from thoughtscope.hidden_states.statements import StatementsSettings, extract_statements
from thoughtscope.parsing import parse
from thoughtscope.provenance import record
from thoughtscope.tasks.prepare import EXAMPLES


@one_line_errors
def main() -> None:
    """Extract one run's or one backbone's hidden states."""
    parser = program(__doc__, "those of LatentsSettings or StatementsSettings")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", type=folder, help="a run's folder: its latents are stored")
    source.add_argument("--backbone", type=folder, help="a backbone's folder: its states on statements are stored")
    parser.add_argument("--task", type=folder, required=True)
    arguments = parser.parse_args()
    pa.set_memory_pool(pa.system_memory_pool())  # the default one keeps what dozens of open files have freed
    raw = settings_of(arguments.settings)
    inputs = input_digests([arguments.run or arguments.backbone, arguments.task])
    with artifact_folder(arguments.output, record("extract_hidden_states", arguments.settings, inputs=inputs)) as made:
        if arguments.run:
            rows = schemas.read(arguments.task / EXAMPLES, schemas.REASONING).to_pylist()
            extract_latents(parse(LatentsSettings, raw, "extraction settings"), arguments.run, rows, made)
        else:
            rows = schemas.read(arguments.task / EXAMPLES, schemas.STATEMENTS).to_pylist()
            backbone = arguments.backbone / MODEL
            extract_statements(parse(StatementsSettings, raw, "extraction settings"), backbone, rows, made)


if __name__ == "__main__":
    sys.exit(main())
