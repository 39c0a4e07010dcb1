"""Ends a failed rank: prints the reason, once for all ranks, and exits at once so that the other ranks end, too."""

from __future__ import annotations

import os
import sys
import traceback

import torch.distributed as dist

from thoughtscope.errors import UserError, one_line_errors
from thoughtscope.training.ranks import Ranks

AFFECTS_RESULTS = False
# messages of gloo and NCCL when the process of another rank has ended
_LOST = ("connection closed by peer", "connection reset by peer", "remote process exited", "broken pipe")


def end(error: BaseException) -> None:
    """Print why this rank failed, unless another rank failed first, and exit.

    The process group is not destroyed, because that can wait minutes for members that have ended.
    """
    status = _tell(error) if _first_to_fail() else 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _tell(error: BaseException) -> int:
    rank = Ranks.here().rank
    if isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _LOST):
        error = UserError(
            f"rank {rank}",
            "it lost another rank, which ended without a word: killed, or out of the machine's memory",
            "the launcher names that rank below; start again to go on from the last save",
        )

    @one_line_errors
    def again() -> int:
        raise error

    try:
        return again()
    except BaseException:
        said = "".join(traceback.format_exception(error))
        print(f"error: rank {rank} failed:\n{said}", file=sys.stderr)
        return 1


def _first_to_fail() -> bool:
    """Return whether this rank is the first to fail; others fail because they lost it."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return True
    try:
        return int(dist.distributed_c10d._get_default_store().add("thoughtscope/failed", 1)) == 1
    except RuntimeError:  # the process of the store has ended
        return True
