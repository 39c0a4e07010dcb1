"""Brings every model and dataset that a study names into the shared cache: `make fetch`, where the network is.

python -m thoughtscope.fetch --configfile config/paper.yaml

Afterwards jobs run with `HF_HUB_OFFLINE=1` on nodes without a network, if they share `HF_HOME`. A token comes from the
environment (`HF_TOKEN`) or `hf auth login`, never from a config file.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from huggingface_hub import snapshot_download

from thoughtscope.backbones.settings import GIVEN_FILES
from thoughtscope.config.load import MAIN, Study
from thoughtscope.errors import one_line_errors
from thoughtscope.hub import hub_error
from thoughtscope.tasks.reading import Source, read


@one_line_errors
def main() -> None:
    """Fetch what the config names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--configfile", type=Path, nargs="+", default=[MAIN], help="main files, each laid on those before"
    )
    parser.add_argument("--folder", type=Path, default=Path("config"), help="folder of the small files and of the lock")
    arguments = parser.parse_args()
    study = Study.read(arguments.configfile, arguments.folder)
    for name in study.named("backbones"):
        settings = study.backbone(name)
        if settings.source == "hub":
            fetch_model(str(settings.hub_id), settings.revision, study.file("backbones", name))
    for name in study.named("tasks"):
        for source in (one for one in study.hosted("tasks", name) if isinstance(one, Source)):
            rows = sum(1 for _ in read(source, study.file("tasks", name)))
            print(f"{source.hub_id} {source.part}: {rows} rows")


def fetch_model(hub_id: str, revision: str | None, where: str) -> Path:
    """Download the files of a model that are read, unless they are there, and return their folder.

    Raises:
        UserError: the hub refuses, or cannot be reached.
    """
    try:
        place = Path(snapshot_download(hub_id, revision=revision, allow_patterns=list(GIVEN_FILES)))
    except Exception as error:
        raise hub_error(f"{where}: hub_id", hub_id, revision, error) from error
    size = sum(file.stat().st_size for file in place.iterdir())
    print(f"{hub_id}: {size / 1e9:.1f} GB")
    return place


if __name__ == "__main__":
    sys.exit(main())
