"""Stores hidden states: of a run's latents while it answers, or of a backbone that reads statements.

`main` is the program of one of several ranks, which torchrun starts: it computes its parts and ends.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import torch

from thoughtscope import schemas
from thoughtscope.arguments import folder, program, settings_of
from thoughtscope.artifacts import digest, input_digests
from thoughtscope.backbones.load import MODEL
from thoughtscope.errors import one_line_errors
from thoughtscope.hidden_states.extract import LatentsSettings, answer_questions
from thoughtscope.hidden_states.parts import Parts
from thoughtscope.hidden_states.statements import StatementsSettings, read_statements
from thoughtscope.parsing import parse
from thoughtscope.tasks.prepare import EXAMPLES


def options() -> argparse.ArgumentParser:
    """Return a parser of the inputs and outputs of an extraction, for use as a parent parser."""
    parser = program(None, "those of LatentsSettings or StatementsSettings", add_help=False)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", type=folder, help="a run's folder: its latents are stored")
    source.add_argument("--backbone", type=folder, help="a backbone's folder: its states on statements are stored")
    parser.add_argument("--task", type=folder, required=True)
    parser.add_argument("--state", type=Path, required=True, help="folder of what unfinished extractions have stored")
    return parser


def inputs(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the digests of what is read."""
    return input_digests([arguments.run or arguments.backbone, arguments.task])


def unfinished(arguments: argparse.Namespace) -> Path:
    """Return the folder of the finished parts of an extraction with these settings, code and inputs."""
    state: Path = arguments.state / digest({**arguments.settings, "inputs": list(inputs(arguments).values())})
    return state


def compute(arguments: argparse.Namespace, parts: Parts) -> None:
    """Compute and store the missing parts of a process."""
    raw, examples = settings_of(arguments.settings), arguments.task / EXAMPLES
    if arguments.run:
        settings = parse(LatentsSettings, raw, "extraction settings")
        answer_questions(settings, arguments.run, schemas.read(examples, schemas.REASONING).to_pylist(), parts)
    else:
        rows = schemas.read(examples, schemas.STATEMENTS).to_pylist()
        backbone = arguments.backbone / MODEL
        read_statements(parse(StatementsSettings, raw, "extraction settings"), backbone, rows, parts)


@one_line_errors
def main() -> None:
    """Compute the parts of this rank."""
    arguments = argparse.ArgumentParser(description=__doc__, parents=[options()], allow_abbrev=False).parse_args()
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    compute(arguments, Parts(unfinished(arguments), int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])))


if __name__ == "__main__":
    sys.exit(main())
