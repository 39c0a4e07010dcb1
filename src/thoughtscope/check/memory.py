"""The memory of this process on a device, or of the machine on a CPU, in bytes."""

from __future__ import annotations

import re
from pathlib import Path

import psutil
import torch

_PROCESS = Path("/proc/self")


def held(device: str) -> int:
    """Return what this process holds now."""
    return torch.cuda.memory_allocated() if device == "cuda" else int(psutil.Process().memory_info().rss)


def forget_peak(device: str) -> None:
    """Let `peak` count from now on."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        (_PROCESS / "clear_refs").write_text("5")  # proc(5): resets VmHWM


def peak(device: str) -> int:
    """Return the most that this process held since `forget_peak`; waits until the device has finished."""
    if device == "cuda":
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated()
    found = re.search(r"VmHWM:\s+(\d+) kB", (_PROCESS / "status").read_text())
    return int(found[1]) * 1024 if found else held(device)


def available(device: str) -> int:
    """Return the memory of the device, or of the machine."""
    if device == "cuda":
        return int(torch.cuda.get_device_properties(0).total_memory)
    return int(psutil.virtual_memory().total)
