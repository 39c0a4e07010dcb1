"""A copy of the repository in which real Snakemake runs, so that tests never touch the user's results."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[2]
SMOKE = ("--configfile", "config/smoke.yaml")
COPIED = ("Snakefile", "workflow", "profiles", "config", "envs", "pyproject.toml")


@dataclass
class Workspace:
    """A folder with the workflow in it."""

    folder: Path

    def environment(self) -> dict[str, str]:
        """Return the environment of its processes: they load its own library, if it has one."""
        own = {"PYTHONPATH": str(self.folder / "src")} if (self.folder / "src").is_dir() else {}
        return {**os.environ, "OMP_NUM_THREADS": "1", **own}

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run Snakemake here and return what it said, standard output and error together."""
        command = [str(Path(sys.executable).parent / "snakemake"), *arguments]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=900,
        )
        if check and done.returncode:
            raise AssertionError(
                f"snakemake {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout[-6000:]}"
            )
        return done


def make_workspace(folder: Path) -> Workspace:
    """Copy the workflow into `folder`; the library is the installed one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / name)
    return Workspace(folder)


def copy_of(smoke: Workspace, folder: Path) -> Workspace:
    """Copy the finished smoke run together with the library, so that a test may edit both."""
    shutil.copytree(smoke.folder, folder, symlinks=True)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return Workspace(folder)


def ask(folder: Path, question: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of `thoughtscope` about the results in a copy: verify, why or trace."""
    command = [sys.executable, "-m", "workflow.lib.cli", question, *arguments]
    environment = Workspace(folder).environment()
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False
    )


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which the smoke config has run to its end, and its report was made; one for all test processes."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "smoke"
    with FileLock(f"{folder}.lock"):
        if not (folder / "results/report.html").exists():
            folder.mkdir(exist_ok=True)
            workspace = make_workspace(folder)
            workspace.snakemake("--cores", "2", *SMOKE)
    return Workspace(folder)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace in which nothing has run."""
    return make_workspace(tmp_path)
