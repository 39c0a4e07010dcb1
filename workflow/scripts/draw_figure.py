"""Draws one figure: artifact folders in; PNG, PDF, SVG and the CSV of its points out."""

import argparse
import sys
from pathlib import Path

from thoughtscope.arguments import add_settings, folder
from thoughtscope.artifacts import artifact_files, input_digests
from thoughtscope.errors import one_line_errors
from thoughtscope.figures.base import Figure
from thoughtscope.figures.looks import Series
from thoughtscope.figures.save import SUFFIXES, save
from thoughtscope.figures.style import readable
from thoughtscope.parsing import parse
from thoughtscope.provenance import record


@one_line_errors
def main() -> None:
    """Draw one figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", required=True, help="its name, for messages")
    add_settings(parser, "kind, title, settings, series, methods")
    parser.add_argument("--inputs", type=folder, nargs="+", required=True, help="runs, hidden states or probes")
    parser.add_argument("--output-stem", type=Path, required=True, help="the files' path without suffix")
    arguments = parser.parse_args()
    settings, where = arguments.settings, f"figures.{arguments.figure}"
    kind = Figure.find(settings["kind"], where)
    options = parse(kind.Settings, settings["settings"], f"{where}.options")
    series = {key: Series.model_validate(one) for key, one in settings["series"]}
    title = None if settings["title"] is None else readable(settings["title"])
    drawing = kind(options, series, dict(settings["methods"]), title)
    figure, points = drawing.draw(drawing.read(arguments.inputs))
    stem = arguments.output_stem
    made_by = record("draw_figure", settings, figure=arguments.figure, inputs=input_digests(arguments.inputs))
    targets = (stem.with_name(stem.name + suffix) for suffix in SUFFIXES)
    with artifact_files(*targets, provenance=made_by) as staged:
        save(figure, points, staged, made_by)
    print(f"{stem}: {len(points)} points")


if __name__ == "__main__":
    sys.exit(main())
