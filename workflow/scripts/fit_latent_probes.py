"""Probes which intermediate values stand in a run's stored latents."""

import argparse
import json
import sys
from pathlib import Path

from thoughtscope import tables
from thoughtscope.artifacts import artifact_folder, input_digests
from thoughtscope.config.parse import parse
from thoughtscope.config.run import Run
from thoughtscope.errors import one_line_errors
from thoughtscope.probes.latent import latent_rows
from thoughtscope.probes.settings import LatentSettings
from thoughtscope.provenance import add_options, record
from thoughtscope.tasks.prepare import EXAMPLES


@one_line_errors
def main() -> None:
    """Fit the probes of one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help='JSON: "run" and "latent_probes"')
    parser.add_argument("--states", type=Path, required=True, help="folder of hidden states")
    parser.add_argument("--task", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    add_options(parser)
    arguments = parser.parse_args()
    raw = json.loads(arguments.settings)
    settings, columns = parse(LatentSettings, raw["latent_probes"], "latent_probes"), Run.parse(raw["run"]).columns
    examples = tables.read(arguments.task / EXAMPLES, tables.REASONING).to_pylist()
    made_by = record("fit_latent_probes", raw, arguments, inputs=input_digests([arguments.states, arguments.task]))
    with artifact_folder(arguments.output, made_by) as folder:
        rows = latent_rows(arguments.states, examples, settings)
        tables.write(folder / "latents.parquet", tables.LATENT_PROBES, ({**columns, **row} for row in rows))


if __name__ == "__main__":
    sys.exit(main())
