"""The settings of a run: the part of the config that can change its result."""

from __future__ import annotations

from typing import Any, TypedDict

from thoughtscope.config.load import Study
from thoughtscope.run_id import RunId

SAVING = {"save_every_seconds", "keep_states"}


class RunSettings(TypedDict):
    """The groups of `training.settings.TrainSettings`, as JSON."""

    run: str
    method: dict[str, Any]
    training: dict[str, Any]
    lora: dict[str, Any] | None
    evaluation: dict[str, Any]
    prompting: dict[str, Any]
    attention: str
    deepspeed: dict[str, Any]


def run_settings(study: Study, run: RunId) -> RunSettings:
    """Return the settings of a run."""
    config, backbone, training = study.config, study.backbone(run.backbone), study.training(run)
    lora = config.lora.model_dump(mode="json", exclude={"training"}) if run.trainable == "lora" else None
    return {
        "run": run.path,
        "method": study.method(run.method).model_dump(mode="json", exclude={"label", "look", "training", "yoked_to"}),
        "training": training.model_dump(mode="json", exclude=SAVING),
        "lora": lora,
        "evaluation": config.evaluation.model_dump(mode="json", exclude={"solved_at"}),
        "prompting": {"chat": backbone.chat, "chat_arguments": backbone.chat_arguments},
        "attention": backbone.attention,
        "deepspeed": study.deepspeed(training.deepspeed),
    }


def saving(study: Study, run: RunId) -> dict[str, Any]:
    """Return how a run saves its resumable state, which cannot change its result."""
    return study.training(run).model_dump(mode="json", include=SAVING)


def leader(study: Study, run: RunId) -> RunId | None:
    """Return the run whose stage switches a yoked run follows; None if its method is not yoked."""
    method = study.method(run.method).yoked_to
    return RunId(run.task, run.backbone, method, run.trainable, run.seed) if method else None
