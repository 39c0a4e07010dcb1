"""Method files that name a publication have its stages, shares and optimiser, or say first what differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from thoughtscope.config.load import Study
from thoughtscope.methods import step_removal
from thoughtscope.methods.base import BaseMethod
from thoughtscope.methods.curriculum import Example, TokenIds, example_rng
from thoughtscope.parsing import merge
from thoughtscope.reasoner import read_method
from thoughtscope.run_id import RunId
from thoughtscope.training.curriculum import stage_lengths
from thoughtscope.training.hyperparameters import Optimizer

ROOT = Path(__file__).parents[2]
IDS = TokenIds({step_removal.START: 90, step_removal.LATENT: 91, step_removal.END: 92})
LONG = Example("l", [1], [[20 + i] for i in range(8)], [14, 2])
PUBLISHED = (
    "coconut-gsm8k",
    "coconut-prosqa",
    "icot-gsm8k",
    "lt-tuning-published",
    "lt-tuning-published-without-stage-3",
    "lt-tuning-textbook-nucleus",
    "codi-gsm8k",
    "pccot-gsm8k",
)


def raw(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / f"config/methods/{name}.yaml").read_text())  # type: ignore[no-any-return]


def method(name: str) -> BaseMethod:
    return read_method(raw(name), f"method {name}")


def epochs(name: str, total: int, steps: int = 8) -> list[int]:
    """Return how many of `total` epochs each stage lasts."""
    return stage_lengths(method(name).stages(steps), total, None)


def test_coconut_for_gsm8k_has_the_stages_of_the_paper() -> None:
    assert epochs("coconut-gsm8k", 50) == [6, 3, 3, 3, 35]
    laid = _laid("coconut-gsm8k")
    assert [one.latents for one in laid] == [0, 2, 4, 6, 6]
    assert [_steps(one) for one in laid] == [8, 7, 6, 5, 0]
    assert laid[0].token_ids == (1, *range(20, 28), 14, 2), (
        "explicit CoT is text alone: a model trained on it comes before"
    )


def test_coconut_for_prosqa_has_the_stages_of_the_paper() -> None:
    assert epochs("coconut-prosqa", 50) == [5] * 7 + [15]
    laid = _laid("coconut-prosqa")
    assert [one.latents for one in laid] == [*range(7), 6]
    assert [_steps(one) for one in laid] == [8, 7, 6, 5, 4, 3, 2, 0]
    assert laid[0].token_ids[:4] == (1, 90, 92, 20), "its stage 0 has both markers, and no latent between them"
    assert laid[0].labels[:3] == (-100, -100, -100)


def _laid(name: str) -> list[Any]:
    one = method(name)
    return [one.layout(stage, LONG, IDS, example_rng(0), None) for stage in one.stages(8)]


def _steps(laid: Any) -> int:
    return sum(20 <= token < 28 for token in laid.token_ids)


def test_icot_for_gsm8k_removes_eight_tokens_an_epoch_until_all_go_at_39() -> None:
    lengths = epochs("icot-gsm8k", 80 * 8)  # eighths of an epoch
    assert lengths == [1] * 39 + [80 * 8 - 39]
    stages = method("icot-gsm8k").stages(8)
    assert [stage.payload for stage in stages] == [*range(39), None]
    assert not any(stage.fill for stage in stages)


def test_codi_and_pccot_have_the_numbers_of_their_publications() -> None:
    codi, pccot = (method(name).model_dump() for name in ("codi-gsm8k", "pccot-gsm8k"))
    for one in (codi, pccot):
        assert one["fill"]["projector"] == {"inner": 768, "dropout": 0.0, "norm": True}
        assert (one["teacher_weight"], one["distillation"]["weight"], one["distillation"]["scale"]) == (1, 1, "layer")
    assert (codi["latents"], codi["fill"]["sweeps"], codi["last_step"]) == (6, None, False)
    assert (pccot["latents"], pccot["fill"]["sweeps"], pccot["last_step"]) == (24, 3, True)
    assert (codi["distillation"]["embeddings"], pccot["distillation"]["embeddings"]) == (True, False)


@pytest.mark.parametrize("name", ["lt-tuning-published", "lt-tuning-published-without-stage-3"])
def test_lt_tuning_has_the_numbers_of_its_publication(name: str) -> None:
    assert epochs(name, 10) == [1, 2, 7]
    first, second, third = method(name).stages(3)
    assert first.fill is first.payload is None
    told = [(one.payload.tau, one.payload.keep, one.payload.second, one.payload.cap) for one in (second, third)]
    assert told == [(0.3, 0.85, 0.15, 10), (0.2, 0.95, 0.2, 16)]
    assert all(one.payload.selection == "random" and one.chosen and one.scored for one in (second, third))
    assert second.fill is not None
    assert third.fill is not None
    assert second.fill.kind == "hidden"
    if name == "lt-tuning-published":
        fusion = {"kind": "fusion", "alpha": 0.6, "top_p": 0.9, "temperature": 1.0, "keep_crossing": False}
        assert third.fill.model_dump(exclude={"layer", "adapter", "sweeps"}) == fusion
    else:
        assert third.fill == second.fill


def test_the_presets_of_lt_tuning_differ_in_the_nucleus_alone() -> None:
    one, other = raw("lt-tuning-published"), raw("lt-tuning-textbook-nucleus")
    crossing = [preset["curriculum"][2]["fill"].pop("keep_crossing") for preset in (one, other)]
    assert crossing == [False, True]
    named = {"label": "", "look": {}}
    assert {**one, **named} == {**other, **named}


OPTIMIZERS = {
    "coconut-gsm8k": (1e-4, "constant", 0.0, 0.01, None, "reset"),
    "coconut-prosqa": (1e-4, "constant", 0.0, 0.01, None, "reset"),
    "icot-gsm8k": (1e-5, "constant", 0.0, 0.01, 1.0, "reset"),
    "lt-tuning-published": (2e-5, "cosine", 0.1, 0.01, 1.0, "keep"),
    "codi-gsm8k": (3e-3, "cosine", 0.03, 0.1, 2.0, "keep"),
    "pccot-gsm8k": (3e-3, "cosine", 0.03, 0.01, 1.0, "keep"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_preset_takes_no_part_of_its_optimiser_from_the_main_file(name: str) -> None:
    odd = {
        "learning_rate": 0.5, "weight_decay": 0.5, "betas": [0.5, 0.5], "max_grad_norm": 0.5,
        "schedule": "linear", "warmup": 0.5, "at_stage_switch": "rewarm",
    }  # fmt: skip
    main = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    runs = [{"task": "chain", "backbone": "qwen3", "method": name}]
    small = {"runs": runs, "figures": {}, "probes": {}}
    study = Study(merge({**main, **small}, {"training": {"optimizer": odd}}), ROOT / "config")
    found = study.training(RunId("chain", "qwen3", name, "full", 0)).optimizer
    keys = ("learning_rate", "schedule", "warmup", "weight_decay", "max_grad_norm", "at_stage_switch")
    expected = OPTIMIZERS.get(name, OPTIMIZERS["lt-tuning-published"])
    assert tuple(getattr(found, key) for key in keys) == expected
    assert found.betas == Optimizer().betas == (0.9, 0.999)


def test_every_method_of_the_published_study_trains_with_the_same_optimiser() -> None:
    main = yaml.safe_load((ROOT / "config/paper.yaml").read_text())
    study = Study(main, ROOT / "config", require_pins=False)
    for trainable in ("full", "lora"):
        rates = {run.backbone: set() for run in study.runs}  # type: dict[str, set[Any]]
        for run in study.runs:
            if run.trainable == trainable:
                one = study.training(run).optimizer
                rates[run.backbone].add((one.learning_rate, one.schedule, one.warmup, one.max_grad_norm))
        assert all(len(found) <= 1 for found in rates.values()), rates


@pytest.mark.parametrize("path", sorted((ROOT / "config/methods").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_method_that_names_a_publication_says_first_what_is_not_as_published(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert first.startswith("# ")
    if "arXiv" in first:
        assert "except" in first
    if path.stem in PUBLISHED[:4]:
        assert "published" in first


def test_what_is_called_icot_removes_tokens_and_coconuts_ablation_has_its_own_name() -> None:
    assert {raw(name)["kind"] for name in ("icot", "icot-gsm8k")} == {"token-removal"}
    ablation = method("coconut-without-thoughts")
    assert (ablation.label, ablation.tokens) == ("Coconut w/o thoughts", [])
    assert ablation.yoked_to == "coconut"
    stages = [method(name).stages(3) for name in ("coconut", "coconut-without-thoughts")]
    assert [one.name for one in stages[0]] == [one.name for one in stages[1]]
