"""Records how an artifact was made: program, settings, sources, versions, hardware, times. It is never an input."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from thoughtscope.arguments import settings_of

AFFECTS_RESULTS = False
_STARTED = datetime.datetime.now(datetime.UTC)
_NOTED = (
    *("torch", "transformers", "tokenizers", "safetensors", "Jinja2", "deepspeed", "peft", "datasets"),
    *("scikit-learn", "scipy", "pandas", "pyarrow", "matplotlib", "numpy"),
)


def record(stage: str, given: Mapping[str, Any], **facts: Any) -> dict[str, Any]:
    """Return the provenance of an artifact made by this process.

    Args:
        stage: the name of the program.
        given: the value of `--settings`: all groups, including `sources` and `pins`.
        facts: further entries: the digests of `inputs`, the number of ranks, the seed.
    """
    return {
        "stage": stage,
        "settings": settings_of(given),
        "sources": given.get("sources", {}),
        "pins": given.get("pins", {}),
        "versions": {"python": platform.python_version(), **versions(_NOTED)},
        "git_revision": _git_revision(),
        "hardware": _hardware(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "on_another_machine": "rounded otherwise",
        "started": _STARTED.isoformat(timespec="seconds"),
        **facts,
    }


def _hardware() -> dict[str, Any]:
    """Return a description of the machine: architecture, processor, system, and the GPUs of this process."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    processor = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), None)
    facts = {"machine": platform.machine(), "cpus": os.cpu_count(), "system": platform.system(), "processor": processor}
    torch = sys.modules.get("torch")
    facts |= {"instructions": torch.backends.cpu.get_cpu_capability()} if torch is not None else {}
    cards = torch.cuda if torch is not None and torch.cuda.is_available() else None
    return facts | ({"gpus": [cards.get_device_name(i) for i in range(cards.device_count())]} if cards else {})


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the version of each package that is installed."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _git_revision() -> str | None:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
