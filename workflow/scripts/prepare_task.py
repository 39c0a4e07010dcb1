"""Writes a task's tables: settings in, a folder with a manifest out."""

import sys
from pathlib import Path

from thoughtscope.arguments import program
from thoughtscope.artifacts import artifact_folder, sha256
from thoughtscope.errors import one_line_errors
from thoughtscope.plugins import read_settings
from thoughtscope.provenance import record
from thoughtscope.tasks.base import BaseTask
from thoughtscope.tasks.prepare import write_task


@one_line_errors
def main() -> None:
    """Prepare one task."""
    parser = program(__doc__, "task")
    parser.add_argument("--task", required=True, help="name of the task")
    parser.add_argument("--files", type=Path, nargs="*", default=[], help="local files that it reads; noted only")
    arguments = parser.parse_args()
    task = read_settings(BaseTask, arguments.settings["task"], f"task {arguments.task}")
    data = {str(file): sha256(file) for file in arguments.files}
    # no floating point, so the same everywhere
    made_by = record("prepare_task", arguments.settings, data=data, on_another_machine="the same")
    with artifact_folder(arguments.output, made_by) as made:
        sizes = write_task(arguments.task, task, made)
    print(f"task {arguments.task}: " + ", ".join(f"{size} {split}" for split, size in sizes.items()))


if __name__ == "__main__":
    sys.exit(main())
