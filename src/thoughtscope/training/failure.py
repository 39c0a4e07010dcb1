"""How a rank fails: it says why, once and before the others, and ends at once so that they go down with it."""

from __future__ import annotations

import os
import sys
import traceback

import torch.distributed as dist

from thoughtscope.errors import UserError, one_line_errors
from thoughtscope.training.ranks import Ranks

AFFECTS_RESULTS = False
# what gloo and NCCL say when another rank's process is gone
_LOST = ("connection closed by peer", "connection reset by peer", "remote process exited", "broken pipe")


def end(error: BaseException) -> None:
    """Say why this rank fails, unless another has already said it, and end the process.

    No clean-up: destroying a process group whose members are gone can wait for them for minutes.
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
    """Return whether no other rank has failed; later ones only fail because the first is gone."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return True
    try:
        return int(dist.distributed_c10d._get_default_store().add("thoughtscope/failed", 1)) == 1
    except RuntimeError:  # the store is gone with its process
        return True
