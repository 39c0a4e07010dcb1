"""A program of two ranks that saves its state and model, and prints how much memory its tensors take meanwhile.

python -m torch.distributed.run --nproc-per-node 2 -m tests.integration.held FOLDER FORM RESULTS
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Any

import deepspeed
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from thoughtscope.training import engine, state
from thoughtscope.training.ranks import Ranks

from .world import LT_TUNING, World


class Held(TorchDispatchMode):
    """Counts the bytes of the tensors that are made inside and not yet freed; `peak` is the largest sum."""

    def __init__(self) -> None:
        super().__init__()
        self.before = {one.untyped_storage()._cdata for one in gc.get_objects() if isinstance(one, torch.Tensor)}
        self.made: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for one in tree_leaves(out):
            if not isinstance(one, torch.Tensor) or one.is_meta:
                continue
            if one.untyped_storage()._cdata not in self.before:
                storage = one.untyped_storage()
                self.made[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.made = {key: (ref, size) for key, (ref, size) in self.made.items() if not ref.expired()}
        self.peak = max(self.peak, sum(size for _, size in self.made.values()))
        return out


def main() -> None:
    """Measure each form of training."""
    folder, forms, results = Path(sys.argv[1]), json.loads(sys.argv[2]), Path(sys.argv[3])
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend="gloo", verbose=False)
    state.FILE_BYTES, engine.AT_ONCE = 100_000, 4096  # small, as the model is
    found = [measure(World(folder), form) for form in forms]
    (results / f"rank{Ranks.here().rank}.json").write_text(json.dumps(found))


def measure(world: World, form: dict[str, str]) -> dict[str, int]:
    """Train two updates; return the peak of each way in which the trained state is taken out, and what compares."""
    run = world.here(f"held-{form}", LT_TUNING, training=form)
    run.begin_stage()
    run.update()
    run.update()
    sizes = [4 * getattr(one, "ds_numel", one.numel()) for one in run.engine.network.parameters()]
    found = {"largest": max(sizes), "weights": sum(sizes)}
    steps = {
        "state": run.save,
        "model": lambda: run.save_model(run.state_folder / "model"),
        "moved": run.evaluator.check_moved,
        "moments": run.engine.forget_moments,
    }
    for name, act in steps.items():
        gc.collect()
        with Held() as held:
            act()
        found[name] = held.peak
    return found


if __name__ == "__main__":
    main()
