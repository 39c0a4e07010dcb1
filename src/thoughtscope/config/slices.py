"""What each stage is told: exactly the part of the config that can change its result, as canonical JSON."""

from __future__ import annotations

import json
from typing import Any

from thoughtscope.config.load import Run, Study


def canonical(value: Any) -> str:
    """Return JSON with sorted keys, so that equal settings are equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def task_slice(study: Study, task: str) -> str:
    """Return what `prepare_task` is told."""
    return canonical(study.task(task).model_dump(mode="json"))


def backbone_slice(study: Study, backbone: str) -> str:
    """Return what `build_backbone` is told: what decides the model, not how figures name it or runs train."""
    settings = study.backbone(backbone)
    unused = {"label", "training", "chat_arguments"}
    value: dict[str, Any] = {"backbone": settings.model_dump(mode="json", exclude=unused)}
    if settings.source == "tiny":
        value["pretraining"] = study.pretraining(backbone).model_dump(mode="json")
    return canonical(value)


def train_slice(study: Study, run: Run) -> str:
    """Return what `train` is told about a run."""
    config, backbone = study.config, study.backbone(run.backbone)
    training = study.training(run)
    method = study.method(run.method).model_dump(mode="json", exclude={"label", "training", "yoked_to"})
    return canonical(
        {
            "run": run.path,
            "method": method,
            "training": training.model_dump(mode="json"),
            "frozen": config.frozen.model_dump(mode="json", exclude={"training"}) if run.trainable == "frozen" else None,
            "evaluation": config.evaluation.model_dump(mode="json"),
            "prompting": {"chat": backbone.chat, "chat_arguments": backbone.chat_arguments},
            "attention": backbone.attention,
            "deepspeed": study.deepspeed(training.deepspeed),
        }
    )
