"""Makes a backbone's folder: a tiny one is built and pre-trained, a given one is checked and referred to."""

import argparse
import json
import sys
from pathlib import Path

from thoughtscope.artifacts import artifact_folder, input_digests, write_json
from thoughtscope.backbones.make import make_tiny, refer
from thoughtscope.backbones.settings import Pretraining, Settings
from thoughtscope.cache import keep, take
from thoughtscope.config.parse import parse
from thoughtscope.errors import one_line_errors
from thoughtscope.provenance import add_options, record


@one_line_errors
def main() -> None:
    """Make one backbone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", required=True, help="its name")
    parser.add_argument("--settings", required=True, help="JSON: backbone; pretraining and seed too if it is tiny")
    parser.add_argument("--tasks", type=Path, nargs="*", default=[], help="folders of the tasks it learns from")
    parser.add_argument("--output", type=Path, required=True)
    add_options(parser)
    arguments = parser.parse_args()
    raw, where = json.loads(arguments.settings), f"backbone {arguments.backbone}"
    settings = parse(Settings, {"label": "", **raw["backbone"]}, where)
    made_by = record("build_backbone", raw, arguments, inputs=input_digests(arguments.tasks))
    if settings.source == "tiny" and take(arguments.output, made_by):
        print(f"{where}: taken from the cache")
        return
    with artifact_folder(arguments.output, made_by) as folder:
        if settings.source == "tiny":
            pretraining = parse(Pretraining, raw["pretraining"], f"{where}: pretraining")
            curve = make_tiny(settings, pretraining, raw["seed"], arguments.tasks, folder, where)
            write_json(folder / "pretraining.json", curve)
        else:
            refer(settings, folder)
    if settings.source == "tiny":
        keep(arguments.output, made_by)


if __name__ == "__main__":
    sys.exit(main())
