"""Writes a task's tables: settings in, a folder with a manifest out."""

import argparse
import json
import sys
from pathlib import Path

from thoughtscope.artifacts import artifact_folder, sha256
from thoughtscope.cache import keep, take
from thoughtscope.errors import one_line_errors
from thoughtscope.plugins import read_settings
from thoughtscope.provenance import add_options, record
from thoughtscope.tasks.prepare import write_task


@one_line_errors
def main() -> None:
    """Prepare one task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True, help="name of the task")
    parser.add_argument("--settings", required=True, help="its settings as JSON")
    parser.add_argument("--files", type=Path, nargs="*", default=[], help="local files that it reads; noted only")
    parser.add_argument("--output", type=Path, required=True)
    add_options(parser)
    arguments = parser.parse_args()
    raw = json.loads(arguments.settings)
    module, settings = read_settings("tasks", raw, f"task {arguments.task}")
    made_by = record("prepare_task", raw, arguments, data={str(file): sha256(file) for file in arguments.files})
    if take(arguments.output, made_by):
        print(f"task {arguments.task}: taken from the cache")
        return
    with artifact_folder(arguments.output, made_by) as folder:
        sizes = write_task(arguments.task, module, settings, folder)
    keep(arguments.output, made_by)
    print(f"task {arguments.task}: " + ", ".join(f"{size} {split}" for split, size in sizes.items()))


if __name__ == "__main__":
    sys.exit(main())
