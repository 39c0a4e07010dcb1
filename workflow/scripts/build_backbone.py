"""Makes a backbone's folder: a tiny one is built and pre-trained, a given one is checked and referred to."""

import sys
from typing import Any

from thoughtscope.arguments import folder, program
from thoughtscope.artifacts import artifact_folder, input_digests, write_json
from thoughtscope.backbones.load import MODEL
from thoughtscope.backbones.make import make_tiny, refer
from thoughtscope.backbones.settings import Pretraining, Settings
from thoughtscope.errors import one_line_errors
from thoughtscope.parsing import parse
from thoughtscope.provenance import record


@one_line_errors
def main() -> None:
    """Make one backbone."""
    parser = program(__doc__, "backbone; pretraining and seed too if it is tiny")
    parser.add_argument("--backbone", required=True, help="its name")
    parser.add_argument("--tasks", type=folder, nargs="*", default=[], help="folders of the tasks it learns from")
    arguments = parser.parse_args()
    raw, where = arguments.settings, f"backbone {arguments.backbone}"
    settings = parse(Settings, {"label": arguments.backbone, **raw["backbone"]}, where)
    made_by = record("build_backbone", raw, inputs=input_digests(arguments.tasks))
    with artifact_folder(arguments.output, made_by) as made:
        learned: dict[str, Any] = {}
        (made / MODEL).mkdir()
        if settings.source == "tiny":
            pretraining = parse(Pretraining, raw["pretraining"], f"{where}: pretraining")
            learned = make_tiny(settings, pretraining, raw["seed"], arguments.tasks, made / MODEL, where)
        else:
            made_by["weights"] = refer(settings, made / MODEL)
        write_json(made / "pretraining.json", learned)


if __name__ == "__main__":
    sys.exit(main())
