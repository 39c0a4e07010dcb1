"""The command `thoughtscope`: its help is complete and fast, and a mistake of the user is one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from workflow.lib.cli import app

ROOT = Path(__file__).parents[2]
COMMANDS = typer.main.get_group(app).commands


def thoughtscope(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "importtime", "-m", "workflow.lib.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_each_of_its_options_has_a_description(name: str) -> None:
    assert COMMANDS[name].help
    for parameter in COMMANDS[name].params:
        assert getattr(parameter, "help", None), parameter.name


def test_help_lists_every_command_and_loads_neither_torch_nor_snakemake() -> None:
    done = thoughtscope("--help")
    assert done.returncode == 0
    assert all(f" {name} " in done.stdout for name in COMMANDS)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "typer" in loaded
    assert loaded.isdisjoint({"torch", "transformers", "pandas", "snakemake"})


@pytest.mark.parametrize("name", ["check", "pin", "fetch"])
def test_a_config_file_that_is_missing_is_one_line_and_status_two(name: str) -> None:
    done = thoughtscope(name, "--configfile", "config/none.yaml")
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("import time")]
    assert line.startswith("error: config/none.yaml: ")
    assert done.returncode == 2


def test_the_makefile_names_commands_that_exist() -> None:
    recipes = [line for line in (ROOT / "Makefile").read_text().splitlines() if "/thoughtscope " in line]
    named = {line.split("/thoughtscope ")[1].split()[0].rstrip(")") for line in recipes}
    assert named <= set(COMMANDS)
    assert {"check", "fetch", "pin", "why", "trace", "verify", "preflight", "reference"} <= named
