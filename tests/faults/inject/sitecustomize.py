"""Makes a rank of a real run fail: Python imports this by itself when the folder stands in PYTHONPATH.

`THOUGHTSCOPE_TEST_FAULT` is "<kind>:<rank>:<update>"; the fault comes in that rank's update (counted in its process).
"""

import os
import signal
import time


def _install(kind: str, rank: str, update: int) -> None:
    import torch

    from thoughtscope.training.engine import Engine

    real, count = Engine.update, 0

    def failing(self: Engine, *arguments: object) -> object:
        nonlocal count
        count += 1
        if kind == "clock-and-kill" and count == update + 5:
            os.kill(os.getpid(), signal.SIGKILL)
        if count == update and os.environ["RANK"] == rank:
            if kind == "raise":
                raise RuntimeError("injected fault")
            if kind == "memory":
                raise torch.OutOfMemoryError("injected: CUDA out of memory")
            if kind == "clock-and-kill":
                real_time = time.time
                time.time = lambda: real_time() - 86400
                return real(self, *arguments)
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, *arguments)

    Engine.update = failing


if "RANK" in os.environ and "THOUGHTSCOPE_TEST_FAULT" in os.environ:
    kind, rank, update = os.environ["THOUGHTSCOPE_TEST_FAULT"].split(":")
    _install(kind, rank, int(update))
