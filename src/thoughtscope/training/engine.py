"""The DeepSpeed engine of a run: one update at a time, its loss that of the global batch.

It also gets and sets the trained state by parameter name, whole, at any ZeRO stage and number of ranks: so a state that
two ranks wrote loads on one. Ranks gather one tensor after another, and only the first rank keeps them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import deepspeed
import torch
from deepspeed.utils import (
    safe_get_full_fp32_param,
    safe_get_full_optimizer_state,
    safe_set_full_fp32_param,
    safe_set_full_optimizer_state,
)
from torch import Tensor

from thoughtscope.latents.fill import Fill
from thoughtscope.methods.minibatch import MicroBatch
from thoughtscope.training.deepspeed import DeepSpeed
from thoughtscope.training.hyperparameters import Training
from thoughtscope.training.network import Network, copy_rows
from thoughtscope.training.ranks import Ranks

MOMENTS = ("exp_avg", "exp_avg_sq")
AT_ONCE = 2**22  # weights that are summed at once in float64


def sharding(settings: DeepSpeed, dtype: str) -> dict[str, Any]:
    """Return the DeepSpeed configuration of `settings`; bf16 at ZeRO stage 0 becomes stage 1.

    DeepSpeed's optimiser for bf16 at stage 0 hides its float32 weights and moments, so that no state could be saved.
    Stage 1 computes the same on one rank, and gives the same results on several.
    """
    config: dict[str, Any] = settings.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    if dtype == "bfloat16" and not settings.zero_optimization.stage:
        config["zero_optimization"] = {**config.get("zero_optimization", {}), "stage": 1}
    return config


class Engine:
    """A network in DeepSpeed with AdamW.

    Args:
        deepspeed_settings: of ZeRO; batch sizes, clipping and precision are added here.
        gradient_accumulation_steps: micro-batches a rank sees in an update.
        dtype: float32 or bfloat16.
    """

    def __init__(
        self,
        network: Network,
        training: Training,
        deepspeed_settings: DeepSpeed,
        ranks: Ranks,
        gradient_accumulation_steps: int,
        dtype: str,
    ) -> None:
        self.training, self.ranks = training, ranks
        self.gradient_accumulation_steps = gradient_accumulation_steps
        stage = deepspeed_settings.zero_optimization.stage
        self.plain, self.sharded = dtype == "float32" and not stage, stage == 3
        optimizer = torch.optim.AdamW(
            [value for value in network.parameters() if value.requires_grad],
            lr=training.optimizer.learning_rate,
            betas=training.optimizer.betas,
            weight_decay=training.optimizer.weight_decay,
            fused=torch.cuda.is_available() if training.optimizer.fused is None else training.optimizer.fused,
        )
        self.engine, self.optimizer, _, _ = deepspeed.initialize(
            model=network,
            optimizer=optimizer,
            config={
                **sharding(deepspeed_settings, dtype),
                "train_batch_size": training.batch_size,
                "gradient_accumulation_steps": gradient_accumulation_steps,
                "gradient_clipping": training.optimizer.max_grad_norm or 0.0,
                "bf16": {"enabled": dtype == "bfloat16"},
                "zero_allow_untested_optimizer": True,
                "zero_force_ds_cpu_optimizer": False,  # PyTorch's own fused AdamW also steps on the CPU
                "steps_per_print": 2**31,
            },
        )
        self._base = optimizer
        if not self.plain:
            self._make_moments()

    def _make_moments(self) -> None:
        """Create the optimiser's moments: DeepSpeed does it at the first update, too late for a run that resumes."""
        for part in self._masters():
            moments = {moment: torch.zeros_like(part) for moment in MOMENTS}
            self._base.state[part] = {"step": torch.zeros((), device=part.device), **moments}
        if not self.sharded:
            self.optimizer._lazy_init_hp_params_optimizer_state()

    @property
    def network(self) -> Network:
        """The wrapped network."""
        return self.engine.module  # type: ignore[no-any-return]

    def update(self, batches: Iterable[MicroBatch], fill: Fill | None, learning_rate: float) -> tuple[float, float]:
        """Do one update and return (loss of the global batch, gradient norm before clipping).

        Args:
            batches: this rank's micro-batches.
            fill: what is fed at their latents; None: they have none.
        """
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        total = torch.zeros((), device=self.engine.device)
        norm = float("nan")
        for batch in batches:
            loss = self.engine(batch, fill)
            total += loss.detach()
            # the engine averages over ranks and micro-batches, whose losses are shares that add up
            self.engine.backward(loss * (self.ranks.world * self.gradient_accumulation_steps))
            if self.plain and self.engine.is_gradient_accumulation_boundary():
                norm = float(torch.nn.utils.get_total_norm(self._gradients()))
            self.engine.step()
        if not self.plain:
            norm = float(self.engine.get_global_grad_norm() or 0.0)
        return sum(self.ranks.gather(float(total))), norm

    def _gradients(self) -> list[Tensor]:
        return [value.grad for value in self.network.parameters() if value.grad is not None]

    def forget_moments(self) -> None:
        """Reset the optimiser's moments and step counts."""
        for _, value in self._trained():
            for moment in MOMENTS:
                zeros = torch.zeros(getattr(value, "ds_shape", value.shape), device=self.engine.device)
                self._set_moment(value, moment, zeros)
        self._count_updates(0)

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the name of every trained parameter and its value, whole and in float32.

        All ranks must iterate to the end: a value is gathered when its turn comes. It may be the parameter itself.
        """
        for name, value in self._trained():
            yield name, self._weight(value).detach()

    def moments(self) -> Iterator[tuple[str, Tensor]]:
        """Yield both moments of every trained parameter, as `weights` does."""
        for name, value in self._trained():
            for moment in MOMENTS:
                yield f"{moment}/{name}", self._moment(value, moment).detach()

    def take_weights(self) -> dict[str, Tensor]:
        """Return a copy of `weights` on the CPU; empty but on the first rank. All ranks must call it."""
        return self._keep(self.weights())

    def take_moments(self) -> dict[str, Tensor]:
        """Return a copy of `moments` on the CPU; empty but on the first rank. All ranks must call it."""
        return self._keep(self.moments())

    def _keep(self, tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
        return {name: value.to("cpu", torch.float32, copy=True) for name, value in tensors if self.ranks.first}

    def fingerprint(self) -> str:
        """Return a digest of sums over this rank's part of the trained float32 weights.

        Sums in float64 of values and squares, over pieces of the weights: an update that changes a weight by more than
        rounding changes them.
        """
        sums = []
        for part in self._masters():
            for piece in torch.split(part.detach().reshape(-1), AT_ONCE):
                wide = piece.double()
                sums += [wide.sum(), wide.dot(wide)]
                del wide  # before the next one is made
        return hashlib.sha256(torch.stack(sums).cpu().numpy().tobytes()).hexdigest()

    def _masters(self) -> list[Tensor]:
        """Return the float32 weights that this rank's optimiser updates."""
        if self.sharded:
            return list(self.optimizer.fp32_partitioned_groups_flat)
        return [part for group in self._base.param_groups for part in group["params"]]

    def put_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Set every trained parameter, also its float32 master copy."""
        for name, value in self._trained():
            self._put(value, weights[name])

    def copy_rows(self, names: Collection[str], rows: Sequence[tuple[int, int]]) -> None:
        """In the trained tables `names` ``[vocabulary, d]``, set every target row to a copy of its source row."""
        for name, value in self._trained():
            if name in names:
                whole = self._weight(value).detach().clone()
                copy_rows({name: whole}, rows)
                self._put(value, whole)

    @torch.no_grad()
    def _put(self, value: Tensor, content: Tensor) -> None:
        if not self.plain:
            safe_set_full_fp32_param(value, content.to(self.engine.device))
        with self._gathered(value):
            value.copy_(content)

    def _gathered(self, value: Tensor) -> AbstractContextManager[Any]:
        """Gather a parameter inside the context; the value that the first rank sets is sharded again at its end."""
        return deepspeed.zero.GatheredParameters([value], modifier_rank=0) if self.sharded else nullcontext()

    def put_moments(self, moments: Mapping[str, Tensor], step: int) -> None:
        """Set both moments of every trained parameter and the optimiser's count of updates."""
        for name, value in self._trained():
            for moment in MOMENTS:
                self._set_moment(value, moment, moments[f"{moment}/{name}"].to(self.engine.device))
        self._count_updates(step)

    def _count_updates(self, step: int) -> None:
        for state in self._base.state.values():
            state["step"] = torch.full_like(torch.as_tensor(state.get("step", 0.0), dtype=torch.float32), float(step))

    def _trained(self) -> list[tuple[str, Tensor]]:
        return [(name, value) for name, value in self.network.named_parameters() if value.requires_grad]

    def _weight(self, value: Tensor) -> Tensor:
        return value if self.plain else safe_get_full_fp32_param(value)

    def _moment(self, value: Tensor, moment: str) -> Tensor:
        if self.plain:
            return self._base.state.get(value, {}).get(moment, torch.zeros_like(value))  # type: ignore[no-any-return]
        return safe_get_full_optimizer_state(value, moment)  # type: ignore[no-any-return]

    @torch.no_grad()
    def _set_moment(self, value: Tensor, moment: str, content: Tensor) -> None:
        if self.plain:
            state = self._base.state.setdefault(value, {})
            state.setdefault(moment, torch.empty_like(value)).copy_(content)
            state.setdefault("step", torch.zeros((), device=value.device))
        else:
            safe_set_full_optimizer_state(value, content, moment)
