"""Probes which intermediate values stand in a run's stored latents."""

import argparse
import sys

from thoughtscope import schemas
from thoughtscope.arguments import add_settings, folder
from thoughtscope.artifacts import artifact_folder, input_digests
from thoughtscope.errors import one_line_errors
from thoughtscope.parsing import parse
from thoughtscope.probes.latent import latent_rows
from thoughtscope.probes.settings import LatentSettings
from thoughtscope.provenance import record
from thoughtscope.run_id import RunId
from thoughtscope.tasks.prepare import EXAMPLES


@one_line_errors
def main() -> None:
    """Fit the probes of one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_settings(parser, "run, latent_probes")
    parser.add_argument("--states", type=folder, required=True, help="folder of hidden states")
    parser.add_argument("--task", type=folder, required=True)
    parser.add_argument("--output", type=folder, required=True)
    arguments = parser.parse_args()
    raw = arguments.settings
    settings, columns = parse(LatentSettings, raw["latent_probes"], "latent_probes"), RunId.parse(raw["run"]).columns
    examples = schemas.read(arguments.task / EXAMPLES, schemas.REASONING).to_pylist()
    made_by = record("fit_latent_probes", raw, inputs=input_digests([arguments.states, arguments.task]))
    with artifact_folder(arguments.output, made_by) as made:
        rows = latent_rows(arguments.states, examples, settings)
        schemas.write(made / "latents.parquet", schemas.LATENT_PROBES, ({**columns, **row} for row in rows))


if __name__ == "__main__":
    sys.exit(main())
