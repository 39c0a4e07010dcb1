"""Every mistake in the config is one line with the file, the key and the fix."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from thoughtscope.config import analysis
from thoughtscope.config.load import Study
from thoughtscope.errors import UserError
from thoughtscope.parsing import merge
from thoughtscope.run_id import RunId
from workflow.lib import study_rules

ROOT = Path(__file__).parents[2]
SMOKE: dict[str, Any] = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
RUN = RunId("chain", "qwen3", "coconut", "full", 0)


def study(**changes: Any) -> Study:
    return Study(merge(SMOKE, changes), ROOT / "config", "config/smoke.yaml")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"trainig": {}}, ["config/smoke.yaml: trainig", "unknown key", "remove it"]),
        ({"training": {"updates": "many"}}, ["config/smoke.yaml: training.updates", "'many'"]),
        ({"training": {"batch_sise": 4}}, ["training.batch_sise", "unknown key", "batch_size"]),
        ({"training": {"keep_checkpoints": [1.0, 0.5]}}, ["keep_checkpoints", "must rise"]),
        ({"runs": [{"task": "chain", "backbone": "qwen3"}]}, ["runs.0.method", "key is missing", "add it"]),
        ({"runs": [{"task": "chess", "backbone": "qwen3", "method": "cot"}]}, ["chess.yaml", "write that file"]),
        (
            {"runs": [{"task": "chain", "backbone": "qwen3", "method": "pause"}]},
            ["follows the schedule of chain/qwen3/coconut/full/seed0", "not a run", "take yoked_to out of"],
        ),
        ({"figures": {"f": {"kind": "pie"}}}, ["figures.f.kind", "no kind 'pie'", "accuracy_backbones"]),
        (
            {"probes": {"truth": None}, "figures": {"f": {"kind": "activity_surface"}}},
            ["probes.truth"],
        ),
        ({"probes": {"truth": {"permutations": 98}}}, ["probes.truth: permutations", "greater than or equal to 99"]),
        ({"probes": {"values": {"permutations": 98}}}, ["probes.values: permutations", "greater than or equal to 99"]),
        (
            {"probes": {"truth": {"permutations": 99, "level": 0.001}}},
            ["99 permutations give no p-value below 0.01, so nothing passes level 0.001: raise permutations or level"],
        ),
        (
            {"probes": {"truth": {"task": "chain"}}},
            ["probes.truth.task", "chain.yaml has no true and false statements"],
        ),
        (
            {"figures": {"f": {"kind": "activity_heatmap", "options": {"direction": "pca"}}}},
            ["figures.f.options: direction", "'whitened-difference'"],
        ),
        (
            {"figures": {"f": {"kind": "accuracy_backbones", "runs": {"backbone": "gpt2"}}}},
            ["figures.f.runs.backbone", "no run has backbone 'gpt2'", "qwen3"],
        ),
        (
            {"figures": {"f": {"kind": "latent_scatter", "options": {"step": [1]}}}},
            ["figures.f.options", "unknown key"],
        ),
        (
            {"figures": {"f": {"kind": "latent_scatter", "options": {"layer": 1}}}},
            ["figures.f.options", "layer is of hidden states: set vectors: output"],
        ),
        (
            {"figures": {"f": {"kind": "latent_scatter", "options": {"vectors": "output", "layer": 1}}}},
            ["figures.f.options.layer", "hidden_states.layers does not store layer 1", "add it there"],
        ),
        (
            {"figures": {"f": {"kind": "accuracy_backbones", "runs": {"backbone": "qwen3"}}}},
            ["figures.f.runs: they mix method coconut, codi, cot, lt-tuning, pause, ", "; name one method"],
        ),
        ({"probes": {"truth": {"kind": "pie"}}}, ["probes.truth.kind", "no kind 'pie'", "intermediate_value"]),
        ({"probes": {"truth": {"backbone": None}}}, ["probes.truth.backbone", "key is missing"]),
        ({"probes": {"values": {"task": "facts"}}}, ["probes.values.task", "kind intermediate_value does not use it"]),
        (
            {"probes": {"values": {"runs": {"method": "icot"}}}},
            ["probes.values.runs.method", "no run has method 'icot'"],
        ),
        ({"tables": {"pie": {}}}, ["tables.pie.kind", "no kind 'pie'", "separation"]),
        ({"tables": {"mine": {"kind": "collapse", "least": 5}}}, ["tables.mine: least", "unknown key", "fewest"]),
        ({"tables": {"summary": {"runs": {"seed": 7}}}}, ["tables.summary.runs.seed", "no run has seed 7"]),
        (
            {"figures": {"f": {"kind": "activity_surface", "probe": "values"}}},
            ["figures.f.probe", "not a probe that writes activity", "name one of truth"],
        ),
        (
            {"figures": {"f": {"kind": "activity_heatmap", "options": {"question": "Who is Marie Curie?"}}}},
            [
                "figures.f.options",
                "Marie Curie?' does not have both a false and a true response",
                "leave them out",
            ],
        ),
        (
            {"figures": {"f": {"kind": "activity_heatmap", "options": {"attribute": "height"}}}},
            ["figures.f.options", "of attribute 'height'"],
        ),
        ({"overrides": {"tasks": {"chain": {"modulus": 8}}}}, ["tasks/chain.yaml", "not a prime", "correct"]),
        ({"overrides": {"tasks": {"chain": {"kind": "chess"}}}}, ["no kind 'chess'", "chain"]),
        (
            {"overrides": {"methods": {"coconut": {"fill": None}}}},
            ["coconut.yaml", "fill and latents_per_step"],
        ),
        ({"overrides": {"backbones": {"qwen3": {"model_type": None}}}}, ["backbones/qwen3.yaml", "needs model_type"]),
    ],
)
def test_a_mistake_is_one_line_with_file_key_and_mend(changes: dict[str, Any], expected: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        study(**({"figures": {}, "probes": {}} | changes if "runs" in changes else changes))
    message = str(caught.value)
    assert "\n" not in message
    for part in expected:
        assert part in message


def test_a_file_that_is_not_yaml_is_named(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    broken = tmp_path / "config/tasks/chain.yaml"
    broken.write_text("kind: [chain\n")
    with pytest.raises(UserError, match=r"chain\.yaml: not YAML"):
        Study(SMOKE, tmp_path / "config")


def test_training_is_overridden_by_backbone_then_method_then_frozen() -> None:
    changed = study(
        overrides={
            "backbones": {"qwen3": {"training": {"optimizer": {"learning_rate": 0.1}, "batch_size": 8}}},
            "methods": {"coconut": {"training": {"optimizer": {"learning_rate": 0.2}}}},
        },
        lora={"training": {"optimizer": {"learning_rate": 0.3}}},
    )
    full, lora = changed.training(RUN), changed.training(RunId("chain", "qwen3", "coconut", "lora", 0))
    assert (full.optimizer.learning_rate, full.batch_size) == (0.2, 8)
    assert (lora.optimizer.learning_rate, lora.batch_size) == (0.3, 8)


def test_a_tiny_backbone_is_built_for_each_seed_of_its_runs_and_a_given_one_once(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "config.json").write_text("{}")
    given = f"source: folder\nlabel: Mine\npath: {tmp_path}\n"
    (tmp_path / "config/backbones/llama3.2.yaml").write_text(given)
    grids = [
        {"task": "chain", "backbone": ["qwen3", "llama3.2"], "method": "coconut", "seed": [0, 2]},
        {"task": "chain", "backbone": "qwen3", "method": "cot", "seed": 1},
    ]
    made = Study({**SMOKE, "runs": grids, "figures": {}, "probes": {}}, tmp_path / "config")
    built = [wildcards for rule, wildcards in study_rules.artifacts(made) if rule == "build_backbone"]
    assert built == [
        {"backbone": "llama3.2", "variant": "given"},
        *({"backbone": "qwen3", "variant": f"seed{seed}"} for seed in range(3)),
    ]
    assert study_rules.backbone_path(made, "llama3.2", 2) == "llama3.2/given"
    assert study_rules.build_backbone(made, "qwen3", "seed2")["seed"] == 2
    for backbone, variant in (("qwen3", "given"), ("llama3.2", "seed0")):
        with pytest.raises(UserError, match=f"results/backbones/{backbone}/{variant}: no such backbone; ask for"):
            study_rules.build_backbone(made, backbone, variant)


def test_the_settings_of_a_rule_change_only_with_what_it_uses() -> None:
    base = study()
    relabelled = study(overrides={"backbones": {"qwen3": {"label": "Q"}}, "methods": {"coconut": {"label": "C"}}})
    assert study_rules.train(base, RUN) == study_rules.train(relabelled, RUN)
    assert study_rules.build_backbone(base, "qwen3", "seed0") == study_rules.build_backbone(
        relabelled, "qwen3", "seed0"
    )
    assert study_rules.figure(base, "accuracy_backbones") != study_rules.figure(relabelled, "accuracy_backbones")
    faster = study(overrides={"methods": {"lt-tuning": {"training": {"updates": 5}}}})
    assert study_rules.train(base, RUN) == study_rules.train(faster, RUN)
    other = RunId("chain", "qwen3", "lt-tuning", "full", 0)
    assert study_rules.train(base, other) != study_rules.train(faster, other)


def test_grids_expand_to_distinct_sorted_runs() -> None:
    runs = study().runs
    assert runs == sorted(set(runs))
    assert [RunId.parse(run.path) for run in runs] == runs


@pytest.mark.parametrize(
    ("zero", "expected"),
    [
        ({"stage": 4}, "zero_optimization.stage"),
        ({"stage": 0, "offload_optimizer": {"device": "cpu"}}, "offload_optimizer needs stage 1, 2 or 3"),
        ({"stage": 2, "offload_param": {"device": "cpu"}}, "offload_param needs stage 3"),
        ({"stage": 2, "offload_optimiser": {"device": "cpu"}}, "unknown key"),
    ],
)
def test_a_deepspeed_file_is_checked(zero: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError) as caught:
        study(overrides={"deepspeed": {"zero0": {"zero_optimization": zero}}})
    assert "deepspeed/zero0.yaml" in str(caught.value)
    assert expected in str(caught.value)


def test_an_attention_that_takes_no_masks_is_refused_with_the_reason() -> None:
    with pytest.raises(UserError, match=r"qwen3\.yaml: attention: .* flash kernels cannot take: use sdpa"):
        study(overrides={"backbones": {"qwen3": {"attention": "flash_attention_2"}}})


def test_a_folder_that_is_no_model_is_refused_before_anything_runs(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    given = {"source": "folder", "label": "Mine", "path": str(tmp_path)}
    (tmp_path / "config/backbones/qwen3.yaml").write_text(yaml.safe_dump(given))
    with pytest.raises(UserError, match=r"qwen3\.yaml: path: .* holds no config\.json; point to"):
        Study(SMOKE, tmp_path / "config")


@pytest.mark.parametrize(
    ("name", "changes", "key"),
    [
        ("qwen3", {"hub_id": "Qwen/Qwen3-4B"}, "source tiny does not use hub_id"),
        ("qwen3", {"path": "models/mine"}, "source tiny does not use path"),
        ("qwen3", {"chat": False}, "source tiny does not use chat"),
        ("qwen3-4b", {"embedding_std": 0.5}, "source hub does not use embedding_std"),
        ("qwen3-4b", {"pretraining": {"updates": 5}}, "source hub does not use pretraining"),
        ("qwen3", {"seed": 3}, "seed: unknown key"),
    ],
)
def test_a_key_that_a_backbone_does_not_use_is_one_line(name: str, changes: dict[str, Any], key: str) -> None:
    small = {"runs": [{"task": "chain", "backbone": name, "method": "cot"}], "figures": {}, "probes": {}}
    raw = {**SMOKE, **small, "overrides": {"backbones": {name: changes}}}
    with pytest.raises(UserError, match=rf"backbones/{name}\.yaml: {key}.*remove it") as caught:
        Study(raw, ROOT / "config", require_pins=False)
    assert "\n" not in str(caught.value)


def test_other_seeds_of_a_drawn_run_are_extracted_too_for_the_floor_of_separation() -> None:
    grid = {"task": "chain", "backbone": "qwen3", "method": ["coconut", "cot"], "seed": [0, 1]}
    figure = {"kind": "latent_scatter", "runs": {"method": "coconut", "seed": 0}}
    made = Study({**SMOKE, "runs": [grid], "probes": {}, "figures": {"f": figure}}, ROOT / "config")
    expected = [RUN, replace(RUN, seed=1)]
    assert analysis.hidden_state_runs(made) == expected
    assert analysis.table_folders(made, "separation") == [f"hidden_states/{run.path}" for run in expected]
    assert analysis.figure_folders(made, "f") == [f"hidden_states/{RUN.path}"]


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_statements_are_read_in_the_precision_in_which_runs_of_the_backbone_train(precision: str) -> None:
    made = study(overrides={"backbones": {"qwen3": {"training": {"precision": precision}}}})
    assert study_rules.extract_statements(made, "facts", "qwen3")["precision"] == precision
