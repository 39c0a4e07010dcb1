"""Resolves envs/requirements.lock: installs the .in files into a new environment and lists the versions."""

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
HEADER = """\
# Resolved from requirements.in and requirements-dev.in; Python 3.11 or newer, Linux. The same pin of torch gives the
# CUDA build where the package index serves it, with the CUDA packages that torch itself pins.
"""
LEFT_OUT = ("nvidia-", "cuda-", "triton", "pip==", "thoughtscope")  # torch pins them, or they are no dependencies


def main() -> None:
    """Write the lock."""
    wanted = [argument for name in ("requirements.in", "requirements-dev.in") for argument in ("-r", str(HERE / name))]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [f"{folder}/bin/python", "-m", "pip", "--disable-pip-version-check"]
        first = [line for line in (HERE / "requirements.in").read_text().splitlines() if line.startswith("torch==")]
        subprocess.run([*pip, "install", *first, "setuptools", "wheel", "ninja", "py-cpuinfo"], check=True)
        subprocess.run([*pip, "install", "--no-build-isolation", *wanted], check=True)
        listed = subprocess.run([*pip, "list", "--format=freeze"], check=True, capture_output=True, text=True).stdout
    lines = [line.split("+")[0] for line in listed.splitlines() if not line.lower().startswith(LEFT_OUT)]
    (HERE / "requirements.lock").write_text(HEADER + "\n".join(sorted(lines, key=str.lower)) + "\n")


if __name__ == "__main__":
    main()
