"""Assigns the devices of a machine to runs that train at the same time.

A workflow manager counts devices but does not assign them. Here each device has a lock file. A run holds the locks of
its devices until it ends, and the kernel releases them even if it crashes. Inside a SLURM job, SLURM assigns devices,
and no locks are used.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from thoughtscope.errors import UserError
from thoughtscope.launch.ranks import DEVICES
from thoughtscope.launch.slurm import JOB

AFFECTS_RESULTS = False
SIMULATED = "THOUGHTSCOPE_DEVICES"  # comma-separated device ids to use instead of those of the machine
AGAIN_SECONDS = 0.5


def present() -> list[str]:
    """Return the ids of the devices of this machine: simulated ones, those visible to the user, or all NVIDIA GPUs."""
    for name in (SIMULATED, DEVICES):
        if name in os.environ:
            return [one for one in os.environ[name].split(",") if one]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return [str(number) for number, line in enumerate(listed.splitlines()) if line.startswith("GPU ")]


@contextmanager
def lease(count: int) -> Iterator[list[str]]:
    """Lock `count` devices of this machine inside the context, and set `CUDA_VISIBLE_DEVICES` to them.

    Prints a line and waits until so many are free; locks all of them at once or none. On a machine without devices, and
    inside a SLURM job, does nothing.

    Raises:
        UserError: the machine has fewer devices.
    """
    devices = [] if JOB in os.environ else present()
    if not devices:
        yield []
        return
    if count > len(devices):
        raise UserError(
            "compute.ranks", f"a run wants {count} devices, this machine has {len(devices)}", "lower it or compute.gpus"
        )
    held = _wait_for(count, devices)
    before = os.environ.get(DEVICES)
    os.environ[DEVICES] = ",".join(held)
    try:
        yield list(held)
    finally:
        os.environ.pop(DEVICES) if before is None else os.environ.update({DEVICES: before})
        _free(held)


def _wait_for(count: int, devices: Sequence[str]) -> dict[str, IO[str]]:
    waits = False
    while not (held := _take(count, devices)):
        if not waits:
            print(f"waiting for {count} of {len(devices)} devices", file=sys.stderr, flush=True)
            waits = True
        time.sleep(AGAIN_SECONDS)
    return held


def _take(count: int, devices: Sequence[str]) -> dict[str, IO[str]]:
    """Lock the first `count` free devices, or none if there are fewer, so that runs do not wait for each other."""
    held: dict[str, IO[str]] = {}
    for device in devices:
        file = (_folder() / f"{device.replace('/', '-')}.lock").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            continue
        held[device] = file
        if len(held) == count:
            return held
    _free(held)
    return {}


def _free(held: dict[str, IO[str]]) -> None:
    for file in held.values():
        file.close()


def _folder() -> Path:
    place = Path(tempfile.gettempdir()) / f"thoughtscope-devices-{os.getuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    return place
