"""Communication between the ranks of a run; with a single process, no process group is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """A process among `world`; `rank` 0 alone writes files."""

    rank: int = 0
    world: int = 1

    @classmethod
    def here(cls) -> Ranks:
        """Return this process's rank in the initialised process group; without one, it is the only rank."""
        return cls(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else cls()

    @property
    def first(self) -> bool:
        """Whether this process writes files and lines."""
        return self.rank == 0

    def any_rank(self, flag: bool) -> bool:
        """Return whether `flag` is true on any rank."""
        if self.world == 1:
            return flag
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        tensor = torch.tensor([int(flag)], device=device)
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return bool(tensor.item())

    def share(self, items: Sequence[T]) -> list[T]:
        """Return this rank's part of `items`: every `world`-th, starting with its own rank."""
        return list(items[self.rank :: self.world])

    def join(self, part: list[T]) -> list[T]:
        """Return the parts of all ranks in one list, in the original order of the items that `share` split."""
        parts: list[Any] = self.gather(part)
        longest = max(len(one) for one in parts)
        return [one[i] for i in range(longest) for one in parts if i < len(one)]

    def gather(self, value: T) -> list[T]:
        """Return the value of every rank, in order."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Wait for all ranks."""
        if self.world > 1:
            dist.barrier()
