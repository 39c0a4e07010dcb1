"""Packs a finished study into one file: code, config, lock, manifests, tables, figures and what they are drawn from.

Weights are left out unless they are asked for; `results/left_out.json` names them, so that nobody takes them for
deleted. Where the file is unpacked, figures are redrawn without training.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from thoughtscope.artifacts import artifact_files, read_files
from thoughtscope.config.load import MAIN, Study
from thoughtscope.errors import UserError, one_line_errors
from thoughtscope.upkeep.judge import LEFT_OUT, reasons
from thoughtscope.upkeep.plan import RESULTS, Planned, plan
from thoughtscope.upkeep.stock import RECORDS

CODE = ("Snakefile", "Makefile", "README.md", "LICENSE", "CITATION.cff", "pyproject.toml")
CODE_FOLDERS = ("workflow", "config", "envs", "profiles", "src", "docs")
WEIGHTS = {".safetensors", ".bin", ".pt"}


def contents(planned: Sequence[Planned], models: bool) -> tuple[list[Path], dict[str, list[str]]]:
    """Return the files of a study, and for each artifact the weights that are left out.

    Raises:
        UserError: an artifact is not there or is not the one that would be made now.
    """
    files = [*_code(), *_files(RECORDS)]
    left_out: dict[str, list[str]] = {}
    for one in planned:
        words = reasons(one)
        if words:
            raise UserError(str(one.path), words[0], "run the workflow to its end first: make run")
        folder = one.record.parent
        described = one.record if one.rule in {"table", "figure"} else one.outputs[0]
        names = read_files(described)
        left = [] if models else [name for name in names if Path(name).suffix in WEIGHTS]
        files += [one.record, described, *(folder / name for name in names if name not in left)]
        left_out |= {one.path.as_posix(): left} if left else {}
    report = RESULTS / "report.html"
    return sorted({*files, *([report] if report.is_file() else [])}), left_out


def _code() -> Iterator[Path]:
    yield from (Path(name) for name in CODE if Path(name).is_file())
    for folder in CODE_FOLDERS:
        yield from _files(Path(folder))


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part == "__pycache__" or part.endswith(".egg-info") for part in path.parts):
            yield path


def pack(files: Sequence[Path], left_out: dict[str, list[str]], target: Path, name: str) -> None:
    """Write a compressed archive whose files all stand below a folder `name`."""
    with artifact_files(target) as (staged,), tarfile.open(staged, "w:gz") as archive:
        for path in files:
            archive.add(path, f"{name}/{path.as_posix()}", recursive=False)
        text = json.dumps(left_out, indent=2, sort_keys=True).encode()
        facts = tarfile.TarInfo(f"{name}/{LEFT_OUT.as_posix()}")
        facts.size = len(text)
        archive.addfile(facts, io.BytesIO(text))


@one_line_errors
def main() -> None:
    """Pack the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configfile", type=Path, nargs="+", default=[MAIN])
    parser.add_argument("--output", type=Path, default=Path("study.tar.gz"))
    parser.add_argument("--models", action="store_true", help="pack weights as well")
    arguments = parser.parse_args()
    planned = plan(Study.read(arguments.configfile))
    files, left_out = contents(planned, arguments.models)
    pack(files, left_out, arguments.output, arguments.output.name.removesuffix(".gz").removesuffix(".tar"))
    size, left = arguments.output.stat().st_size / 1e6, sum(map(len, left_out.values()))
    print(f"{arguments.output}: {len(files)} files, {size:.1f} MB" + (f", {left} weights left out" if left else ""))


if __name__ == "__main__":
    sys.exit(main())
