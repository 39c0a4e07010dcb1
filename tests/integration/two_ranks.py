"""A program of two ranks that trains several runs one after another, as starting one for each would take minutes.

python -m torch.distributed.run --nproc-per-node 2 -m tests.integration.two_ranks FOLDER CASES RESULTS

CASES is a JSON list. A case with `held` is trained for two updates, and the bytes of the tensors that saving, checking
and resetting take are counted; any other is trained to its end, and stopped and resumed after the updates `stops`.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deepspeed
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from thoughtscope.run_id import RunId
from thoughtscope.training import engine, state
from thoughtscope.training.ranks import Ranks
from thoughtscope.training.trainer import ContinueLaterError

from .world import World


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
    """Train each case; every rank writes what it found."""
    folder, cases, results = Path(sys.argv[1]), json.loads(sys.argv[2]), Path(sys.argv[3])
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend="gloo", verbose=False)
    world = World(folder)
    found = {name: measure(world, name, case) if "held" in case else train(world, name, case) for name, case in cases}
    (results / f"rank{Ranks.here().rank}.json").write_text(json.dumps(found))


def train(world: World, name: str, case: dict[str, Any]) -> list[float]:
    """Return the losses of a run; an `unfinished` one is left after its stops; `model` saves its weights."""
    run = RunId.parse(case["run"])
    for after in case.get("stops", []):
        broken = world.here(name, run, lambda after=after: world.updates(name) >= after, training=case["training"])
        try:
            broken.execute()
        except ContinueLaterError:
            continue
    made = world.here(name, run, training=case["training"])
    if not case.get("unfinished"):
        made.execute()
    if case.get("model"):
        made.save_model(world.folder / name / "model")
    return [row["loss"] for row in made.records.read("metrics")]


def measure(world: World, name: str, case: dict[str, Any]) -> dict[str, int]:
    """Train two updates; return the peak of each way in which the trained state is taken out, and what compares."""
    before = state.FILE_BYTES, engine.AT_ONCE
    state.FILE_BYTES, engine.AT_ONCE = 100_000, 4096  # small, as the model is
    run = world.here(name, RunId.parse(case["run"]), training=case["training"])
    run.begin_stage()
    run.update()
    run.update()
    sizes = [4 * getattr(one, "ds_numel", one.numel()) for one in run.engine.network.parameters()]
    found = {"largest": max(sizes), "weights": sum(sizes)}
    steps: dict[str, Callable[[], object]] = {
        "state": run.save,
        "model": lambda: run.save_model(run.state_folder / "model"),
        "moved": run.evaluator.check_moved,
        "moments": run.engine.forget_moments,
    }
    for step, act in steps.items():
        gc.collect()
        with Held() as held:
            act()
        found[step] = held.peak
    state.FILE_BYTES, engine.AT_ONCE = before
    return found


if __name__ == "__main__":
    main()
