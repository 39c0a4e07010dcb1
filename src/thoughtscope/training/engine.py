"""The DeepSpeed engine of a run: one update at a time, its loss normalised over the global batch.

Also takes the trained state out whole and puts it back, by parameter name, whatever the ZeRO stage and
the number of ranks: that is what makes a state written on two ranks load on one.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
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

from thoughtscope.config.training import Training
from thoughtscope.latents.packing import Batch
from thoughtscope.training.network import Network
from thoughtscope.training.ranks import Ranks

MOMENTS = ("exp_avg", "exp_avg_sq")


def sharding(config: dict[str, Any], dtype: str) -> dict[str, Any]:
    """Return `config` as it is run: bf16 without sharding becomes ZeRO-1.

    DeepSpeed's optimiser for the one hides its float32 weights and moments, so that no state could be saved; on one
    rank both are the same, on several the results are.
    """
    zero = config.get("zero_optimization", {})
    if dtype == "bfloat16" and not zero.get("stage", 0):
        return {**config, "zero_optimization": {**zero, "stage": 1}}
    return config


class Engine:
    """A network in DeepSpeed with AdamW.

    Args:
        config: a DeepSpeed configuration; batch sizes, clipping and precision are added here.
        steps: micro-batches a rank sees in an update.
        dtype: float32 or bfloat16.
    """

    def __init__(
        self, network: Network, training: Training, config: dict[str, Any], ranks: Ranks, steps: int, dtype: str
    ) -> None:
        self.training, self.ranks, self.steps = training, ranks, steps
        stage = config.get("zero_optimization", {}).get("stage", 0)
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
                **sharding(config, dtype),
                "train_batch_size": training.batch_size,
                "gradient_accumulation_steps": steps,
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
        """Give the optimiser its moments now: DeepSpeed would at the first update, too late for a run that resumes."""
        parts = [part for group in self._base.param_groups for part in group["params"]]
        for part in self.optimizer.fp32_partitioned_groups_flat if self.sharded else parts:
            moments = {moment: torch.zeros_like(part) for moment in MOMENTS}
            self._base.state[part] = {"step": torch.zeros((), device=part.device), **moments}
        if not self.sharded:
            self.optimizer._lazy_init_hp_params_optimizer_state()

    @property
    def network(self) -> Network:
        """The network inside."""
        return self.engine.module  # type: ignore[no-any-return]

    def whole_model(self) -> Any:
        """Return a float32 copy of the model on the CPU; where parameters are sharded, their values are not set."""
        model = self.network.model
        if not self.sharded:
            return copy.deepcopy(model).to("cpu", torch.float32)
        empty = type(model)._from_config(model.config, dtype=torch.float32)
        empty.generation_config = model.generation_config
        return empty

    def update(self, batches: Iterable[Batch], labels: int, learning_rate: float) -> tuple[float, float]:
        """Do one update and return (mean loss a label over the global batch in nats, gradient norm before clipping).

        Args:
            batches: this rank's micro-batches.
            labels: labelled tokens of the global batch.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        total = torch.zeros((), device=self.engine.device)
        norm = float("nan")
        for batch in batches:
            loss = self.engine(batch)
            total += loss.detach()
            # the engine averages over ranks and micro-batches; the loss is a sum over all labels of the batch
            self.engine.backward(loss * (self.ranks.world * self.steps / labels))
            if self.plain and self.engine.is_gradient_accumulation_boundary():
                norm = float(torch.nn.utils.get_total_norm(self._gradients()))
            self.engine.step()
        if not self.plain:
            norm = float(self.engine.get_global_grad_norm() or 0.0)
        return sum(self.ranks.gather(float(total))) / labels, norm

    def _gradients(self) -> list[Tensor]:
        return [value.grad for value in self.network.parameters() if value.grad is not None]

    def forget_moments(self) -> None:
        """Reset the optimiser's moments and step counts."""
        self.put_moments({name: torch.zeros_like(value) for name, value in self.take_moments().items()}, 0)

    def take_weights(self) -> dict[str, Tensor]:
        """Return every trained parameter, whole and in float32, by name. All ranks must call it."""
        return {name: self._weight(value).detach().cpu().clone() for name, value in self._trained()}

    def take_moments(self) -> dict[str, Tensor]:
        """Return both moments of every trained parameter, whole. All ranks must call it."""
        return {
            f"{moment}/{name}": self._moment(value, moment).detach().cpu().clone()
            for name, value in self._trained()
            for moment in MOMENTS
        }

    def put_weights(self, weights: dict[str, Tensor]) -> None:
        """Set every trained parameter, also its float32 master copy."""
        with torch.no_grad():
            for name, value in self._trained():
                if not self.plain:
                    safe_set_full_fp32_param(value, weights[name].to(self.engine.device))
                with self._gathered(value):
                    value.copy_(weights[name])

    def _gathered(self, value: Tensor) -> AbstractContextManager[Any]:
        """Make a parameter whole inside the context; what the first rank sets is then shared out again."""
        return deepspeed.zero.GatheredParameters([value], modifier_rank=0) if self.sharded else nullcontext()

    def put_moments(self, moments: dict[str, Tensor], step: int) -> None:
        """Set both moments of every trained parameter and the optimiser's count of updates."""
        for name, value in self._trained():
            for moment in MOMENTS:
                self._set_moment(value, moment, moments[f"{moment}/{name}"].to(self.engine.device))
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

    def _set_moment(self, value: Tensor, moment: str, content: Tensor) -> None:
        if self.plain:
            self._base.state.setdefault(value, {})[moment] = content.clone()
            self._base.state[value].setdefault("step", torch.zeros((), device=value.device))
        else:
            safe_set_full_optimizer_state(value, content, moment)
