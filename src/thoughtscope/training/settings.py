"""The settings of a training run: the part of the config that can change its result."""

from __future__ import annotations

from typing import Any

from thoughtscope.reasoner import Prompting
from thoughtscope.settings import Strict
from thoughtscope.training.deepspeed import DeepSpeed
from thoughtscope.training.hyperparameters import Evaluation, Lora, Training


class TrainSettings(Strict):
    """The settings of one run; its digest names the folder of its resumable state."""

    run: str
    method: dict[str, Any]
    training: Training
    lora: Lora | None
    evaluation: Evaluation
    prompting: Prompting
    attention: str
    deepspeed: DeepSpeed
