"""Turns running out of memory into an error of one line, with the setting to lower and the memory in use."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from thoughtscope.errors import UserError

AFFECTS_RESULTS = False
_GIB = 2**30


@contextmanager
def enough_memory(doing: str, setting: str, value: int, further: str = "") -> Iterator[None]:
    """Turn running out of memory inside the context into a `UserError`.

    Args:
        doing: what needs the memory, e.g. "training".
        setting: the key that determines how much is needed, with its present `value`.
        further: another way to save memory.

    Raises:
        UserError: the device or the machine ran out of memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        lower = f"lower {setting} (now {value})" if value > 1 else f"{setting} is 1 already: take a smaller backbone"
        raise UserError(f"out of memory while {doing}", f"in use were {in_use()}", lower + further) from error


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "not enough memory" in str(error)


def in_use() -> str:
    """Return the memory that the process uses on its device, or on the machine if that is the CPU."""
    if not torch.cuda.is_available():
        return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB of the machine's memory at most"
    free, total = torch.cuda.mem_get_info()
    return (
        f"{torch.cuda.max_memory_allocated() / _GIB:.1f} GiB at most by tensors of this process "
        f"({torch.cuda.memory_reserved() / _GIB:.1f} reserved), {(total - free) / _GIB:.1f} of {total / _GIB:.1f} GiB "
        "by all processes on the device"
    )
